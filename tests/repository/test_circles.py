"""Which files of the package import each other, also only for types."""

import grimp


def circles() -> list[list[str]]:
    """Modules from which imports lead into a circle: what is left without those that import no other."""
    graph = grimp.build_graph("symphony", exclude_type_checking_imports=False, cache_dir=None)
    left = {name: set(graph.find_modules_directly_imported_by(name)) for name in graph.modules}
    while gone := {name for name, found in left.items() if not found & left.keys()}:
        left = {name: found for name, found in left.items() if name not in gone}
    return [[name, *sorted(found & left.keys())] for name, found in sorted(left.items())]


def test_no_two_files_import_each_other() -> None:
    assert circles() == []
