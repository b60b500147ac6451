"""The meaning of every key of a workflow file, in one line each, for editors to show. Data only."""

from collections.abc import Mapping
from typing import Final

_ABOUT: Final[Mapping[str, Mapping[str, str]]] = {
    "workflow": {
        "symphony": "Version of this format; 1 if absent.",
        "name": "What people call it: 1 to 100 characters.",
        "version": "Semantic version of this workflow.",
        "description": "What it is for.",
        "tags": "Words to find it by.",
        "env": "Environment variables that expressions may read as env.NAME.",
        "operators": "Python files in this file's folder whose operators this workflow may use.",
        "inputs": "What a run is given: name and type; one without default must be given.",
        "nodes": "What is done: name and node. The order follows from what each reads.",
        "steps": "In place of nodes: shell commands, one after the other unless any says what it needs.",
        "edges": "What the shorthands of nodes cannot say.",
        "outputs": "What the run gives: name and value or ${{ expression }}.",
        "budget": "What the models of one run may use; the call that would go beyond is refused.",
        "on_finish": "What is told once of the end of each run: a command or a URL.",
        "metadata": "Anything; tools keep their notes here.",
    },
    "on_finish": {
        "command": "A shell command; RUN, WORKFLOW, STATUS and ERROR are in its environment.",
        "url": "An allowed host's URL; run, workflow, status and error are sent to it as JSON.",
    },
    "input": {
        "type": "string, integer, number, boolean, path, list[T], map[T], …; with ? it may be null.",
        "enum": "In place of type: the texts to choose from.",
        "default": "What it is if it is not given.",
        "min": "The least number allowed.",
        "max": "The greatest number allowed.",
        "description": "What it is for.",
    },
    "budget": {
        "money": "At most so much, in the currency of the price table.",
        "tokens": "At most so many tokens, in and out.",
        "calls": "At most so many calls of models.",
    },
    "kind": {
        "operator": "Runs an operator: NAME or NAME@VERSION. `symphony operators list` names them.",
        "instrument": "Asks a model: ID or ID@VERSION. `symphony models list` names them.",
        "control": "Steers the run: branch, merge, delay, approval or loop.",
        "workflow": "Runs another workflow: a file beside this one.",
        "command": "Runs a shell command; inputs arrive as variables in capitals, expressions are refused.",
    },
    "node": {
        "inputs": "Values or ${{ expressions }} by port.",
        "config": "Settings of the operator or model.",
        "for_each": "A list, or CEL that gives one: the node runs once for each element, `item`.",
        "concurrency": "At most so many elements at once.",
        "fail_fast": "false: a failed element ends no other; the node fails when all have ended.",
        "label": "CEL over item and index: a string beside the number of an element. By default the element.",
        "when": "CEL; where it is false, the node is skipped.",
        "after": "Nodes, or branches such as check.true, that come first.",
        "join": "all: any skipped predecessor skips this node. any: one that succeeded is enough.",
        "retry": "How often and when it is tried again.",
        "timeout": "For each attempt: digits and ms, s, m, h or d.",
        "on_error": "What a failure means: fail, skip, {value: {PORT: …}} or {fallback: NODE}.",
        "idempotent": "May it be run again after a crash?",
        "priority": "The greater, the sooner among those that are ready.",
        "cache": "auto: earlier results, unless it is quicker to run again. on: always. off: never.",
        "artifact": "Keep the output under a name.",
        "description": "What it does.",
        "position": "Where editors draw it: [x, y].",
        "enabled": "false: the node is skipped.",
        "metadata": "Anything; tools keep their notes here.",
    },
    "control": {
        "condition": "For a branch: CEL that decides between true and false.",
        "switch": "For a branch: CEL whose value is compared with the cases.",
        "cases": "For a branch with switch: name and value.",
        "default": "For a branch with switch: the name of the branch where no case matches.",
        "for": "For a delay: how long.",
        "until": "For a delay: a CEL timestamp. For a loop: CEL, tested after each round.",
        "message": "For an approval: what is asked.",
        "on_timeout": "For an approval: what is taken for the answer when nobody gives one.",
        "state": "For a loop: what the first round begins with.",
        "body": "For a loop: its nodes.",
        "next": "For a loop: the state of the next round, by CEL.",
        "while": "For a loop: CEL, tested before each round.",
        "max_iterations": "For a loop: more rounds are a failure.",
    },
    "retry": {
        "attempts": "Tries altogether.",
        "backoff": "How the wait grows from try to try.",
        "initial": "The first wait.",
        "max": "The longest wait.",
        "jitter": "Wait a random part of it.",
    },
    "on_error": {
        "value": "Ports and the values that stand for those of the failed node.",
        "fallback": "The node that runs in its place; it must have the same ports.",
    },
    "artifact": {
        "name": "The name; may hold ${{ expressions }}.",
        "content_type": "Such as text/markdown.",
        "port": "Which output, where there are several.",
    },
    "step": {
        "name": "Its name.",
        "command": "The shell command.",
        "needs": "Steps that come first.",
    },
    "edge": {
        "from": "NODE.PORT, NODE.BRANCH or NODE.",
        "to": "NODE.INPUT or NODE.",
        "transform": "CEL over `value`, between two ports.",
        "priority": "For an edge between nodes: the greater, the sooner.",
        "when": "CEL; the target runs if one of its conditional edges holds.",
        "label": "What editors write beside a conditional edge.",
        "derived": "true: made from a shorthand by a program; it is left out when the file is read.",
    },
}

MEANINGS: Final[Mapping[tuple[str, str], str]] = {
    (table, key): words for table, keys in _ABOUT.items() for key, words in keys.items()
}
"""Descriptions by table and key of `json_schema.TABLES`."""
