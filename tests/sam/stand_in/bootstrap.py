"""Set Lambda's search path: the task root, then /opt/python, then the image's own path."""

import os
import sys

import awslambdaric.__main__ as runtime_client

if "PYTHONPATH" not in os.environ:
    sys.path.insert(0, "/opt/python")
sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
runtime_client.main([os.environ["LAMBDA_TASK_ROOT"], os.environ.get("_HANDLER", sys.argv[1])])
