"""The operators that workflows may use beside those of the kit: given ones, and those in files.

Files come from the settings and from workflows. Beginning a run executes them. A command that only
looks at a workflow reads from their text what they define.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from symphony.app.configured_operators import configured_files, wrong_settings
from symphony.app.parts import Parts
from symphony.commons.errors import SymphonyError
from symphony.workflow.catalog import Catalog, OwnOperators
from symphony.workflow.model import Workflow

if TYPE_CHECKING:
    from symphony.pit.tracker.store.documents import Recorded
    from symphony.sdk import Operator


class OperatorsAtHand:
    """The operators that workflows of one Symphony may use, and the code behind them.

    Those that were given to this Symphony come before those of its settings, these before a workflow's own;
    only the kit's are replaced by given ones and by those of the settings. With `load`, files are run as
    soon as something of them is asked for. `files` stand in place of those that the settings name.
    """

    def __init__(self, parts: Parts, *, load: bool, files: Sequence[str] | None = None) -> None:
        self._parts, self._load = parts, load
        self._files = None if files is None else [Path(file) for file in files if file not in parts.files]

    @cached_property
    def files(self) -> list[Path]:
        """The files of operators that every workflow may use, beside those that were given."""
        return configured_files(self._parts.config, self._parts.home) if self._files is None else self._files

    @property
    def shared(self) -> "Mapping[str, Operator]":
        """Return the operators that every workflow may use, without the kit's. Raises ConfigInvalid,
        OperatorsNotLoaded.
        """
        return self._shared[0]

    @cached_property
    def _shared(self) -> "tuple[Mapping[str, Operator], bool]":
        """Return the operators that every workflow may use, and whether files may define more."""
        given = {one.info.name: one for one in self._parts.given}
        if not self.files:
            return given, False
        known: dict[str, Operator] = {}
        partial = False
        for file in self.files:
            try:
                if self._load:
                    from symphony.sdk.beside import load_once

                    found, more = {one.info.name: one for one in load_once(file)}, False
                else:
                    from symphony.sdk.reading.files import stand_ins

                    found, more = stand_ins(file)
            except SymphonyError as error:
                raise error if self._files is not None else wrong_settings(error) from error
            known, partial = known | found, partial or more
        return known | given, partial

    @cached_property
    def catalog(self) -> Catalog:
        """Return what every workflow may name. Raises ConfigInvalid, OperatorsNotLoaded."""
        catalog = self._parts.catalog
        if not self.files or (not self._load and self._files is None):
            return catalog  # it has what the text of the settings' files says
        infos = {name: one.info for name, one in self.shared.items()}
        partial = () if self._load else catalog.partial
        return msgspec.structs.replace(catalog, operators={**catalog.operators, **infos}, partial=partial)

    def read(self, folder: Path, names: Sequence[str]) -> OwnOperators:
        """Return what the files define that a workflow in `folder` names. With `load`, raises
        OperatorsNotLoaded.
        """
        if not self._load:
            from symphony.sdk.reading.files import read_beside

            return read_beside(folder, names)
        from symphony.sdk.beside import load_beside

        return OwnOperators(operators={name: one.info for name, one in load_beside(folder, names).items()})

    def of(self, workflow: Workflow, folder: Path) -> "Mapping[str, Operator]":
        """Return all that a workflow in `folder` may use, by name. Raises ConfigInvalid,
        OperatorsNotLoaded.
        """
        own, partial = self._own(workflow, folder)
        shared, more = self._shared
        known = self._parts.operators_with({**own, **shared})
        if not partial and not more:
            return known
        from symphony.sdk.reading.stand_ins import Open

        return Open(known)

    def _own(self, workflow: Workflow, folder: Path) -> "tuple[Mapping[str, Operator], bool]":
        """Return a workflow's own operators, and whether its files may define more."""
        if not workflow.operators:
            return {}, False
        from symphony.sdk.beside import beside, load_beside

        if self._load:
            return load_beside(folder, workflow.operators), False
        from symphony.sdk.reading.files import stand_ins

        own: dict[str, Operator] = {}
        partial = False
        for name in workflow.operators:
            found, more = stand_ins(beside(folder, name))
            own, partial = own | found, partial or more
        return own, partial


class Beside:
    """The sub-workflows of a workflow that was made ready, as validation asks for them."""

    def __init__(self, found: "Recorded", operators: OperatorsAtHand) -> None:
        self._found, self._operators = found, operators

    def __call__(self, reference: str, /) -> Workflow | None:
        """Return the workflow that `reference` names."""
        return self._found(reference)

    def child(self, reference: str, /) -> "Beside":
        """Return the finder of workflows named inside the one that `reference` names."""
        return Beside(self._found.child(reference), self._operators)

    def own_operators(self, files: Sequence[str], /) -> OwnOperators:
        """Return what the files define that a workflow here names."""
        return self._operators.read(self._found.base, files)
