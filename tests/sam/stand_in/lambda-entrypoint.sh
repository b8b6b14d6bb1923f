#!/bin/sh
# Lambda and `sam local` bring a runtime API; where there is none, the emulator in the image is it.
if [ -z "$AWS_LAMBDA_RUNTIME_API" ]; then
  exec /usr/local/bin/aws-lambda-rie /usr/bin/python3 /var/runtime/bootstrap.py "$@"
fi
exec /usr/bin/python3 /var/runtime/bootstrap.py "$@"
