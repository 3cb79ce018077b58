"""Gives the suite the API key of the running system.

The suite's own key, "My API Key", holds spaces. The ingress takes no such token: a bearer token has none (RFC 6750).
"""

import importlib
import os


def pytest_sessionstart() -> None:
    importlib.import_module("tests.conftest").api_key = os.environ["DROVER_API_KEY"]
