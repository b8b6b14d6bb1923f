#!/bin/sh
# Lambda and `sam local` provide a runtime API. Without one, use the emulator in the image.
if [ -z "$AWS_LAMBDA_RUNTIME_API" ]; then
  exec /usr/local/bin/aws-lambda-rie /usr/bin/python3 /var/runtime/bootstrap.py "$@"
fi
exec /usr/bin/python3 /var/runtime/bootstrap.py "$@"
