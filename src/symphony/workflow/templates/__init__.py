"""Templates: workflows with parameters. This package reads a template, checks what is given, and makes
a workflow. Pure.

A template is a workflow document like any other, valid as it stands, with a map under
`metadata.template`. Every input of the workflow is a parameter: what is given for it becomes the
input's default. `metadata.template.parameters` says more about those (examples, limits that an input
cannot have, what a form needs) and may declare further parameters, which exist only in the template.
The value given for a parameter goes, whole, to the places that the parameter `sets`. It also goes into
the texts that name the parameter as `$[[ name ]]`: names, descriptions and commands, in which it is one
quoted word.
"""

from symphony.workflow.templates.model import Parameter, WorkflowTemplate, example_of, wanted
from symphony.workflow.templates.reading import WIDGETS, is_template, read_template

__all__ = ["WIDGETS", "Parameter", "WorkflowTemplate", "example_of", "is_template", "read_template", "wanted"]
