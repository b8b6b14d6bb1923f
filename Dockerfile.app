# The code, which changes often, on top of Dockerfile.base. All functions use this image; template.yaml sets their handlers.
# No USER is set: Lambda runs every image as its own unprivileged user, and `sam local` needs root to add its emulator.
# The image needs no root and writes no files: tests/sam runs it as nobody on a read-only file system.
ARG BASE_IMAGE=slack-toxicity-bot-base
FROM ${BASE_IMAGE}
COPY lambda/ ${LAMBDA_TASK_ROOT}/toxicity_bot/
# The checkout's files may be readable only by their owner (a mode with a digit below 4). chmod runs only then, because it
# adds a second copy of each file to the image.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash "${LAMBDA_TASK_ROOT}" \
 && case "$(stat -c %a "${LAMBDA_TASK_ROOT}"/toxicity_bot/*)" in *[0-3]*) chmod -R a+rX "${LAMBDA_TASK_ROOT}" ;; esac
CMD ["toxicity_bot.worker.handler"]
