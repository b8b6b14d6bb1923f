# What changes often: the code. Both functions are this image; template.yaml names the handler of each.
# There is no USER: Lambda runs images as a user of its own, without any right, and `sam local` adds its emulator as
# root. The image needs no root and writes nothing: tests/sam runs it as nobody, on a read-only file system.
ARG BASE_IMAGE=slack-toxicity-bot-base
FROM ${BASE_IMAGE}
COPY lambda/ ${LAMBDA_TASK_ROOT}/toxicity_bot/
RUN python3 -m compileall -q --invalidation-mode unchecked-hash "${LAMBDA_TASK_ROOT}" && chmod -R a+rX "${LAMBDA_TASK_ROOT}"
CMD ["toxicity_bot.worker.handler"]
