"""How the pages are executed."""

c = get_config()  # noqa: F821
c.HistoryManager.enabled = False
c.InlineBackend.figure_formats = {"svg"}
c.IPKernelApp.log_level = "ERROR"
