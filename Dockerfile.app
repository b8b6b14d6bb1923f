# The code, which changes often, on top of Dockerfile.base. Both functions use this image; template.yaml sets their handlers.
# There is no USER: Lambda runs every image as an unprivileged user of its own, and `sam local` needs root to add its
# emulator. The image needs no root and writes no file: tests/sam runs it as nobody, on a read-only file system.
ARG BASE_IMAGE=slack-toxicity-bot-base
FROM ${BASE_IMAGE}
COPY lambda/ ${LAMBDA_TASK_ROOT}/toxicity_bot/
# A checkout may be readable for its owner alone: a mode with a digit below 4. chmod copies each file into this layer once more.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash "${LAMBDA_TASK_ROOT}" \
 && case "$(stat -c %a "${LAMBDA_TASK_ROOT}"/toxicity_bot/*)" in *[0-3]*) chmod -R a+rX "${LAMBDA_TASK_ROOT}" ;; esac
CMD ["toxicity_bot.worker.handler"]
