"""The bus over servers that others run. Only `symphony.app` chooses one."""
