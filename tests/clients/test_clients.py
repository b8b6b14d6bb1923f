"""Unmodified Perspective API clients get scores and errors from `toxicity-bot serve`."""

import json
import os
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from perspective import PerspectiveAPI

from local.bot import Process
from tests import run_module
from toxicity_bot.api_keys import hashed, new_key

INSULT, FINE = "You are a stupid idiot.", "Thank you, that was very kind."
KEY = new_key()
# The address is fixed in this client, so axios, which sends its requests, is configured with another one.
NODE_CLIENT = """
const axios = require('axios'), Perspective = require('perspective-api-client');
const [server, key, text] = process.argv.slice(1);
axios.interceptors.request.use(request =>
  ({...request, url: request.url.replace('https://commentanalyzer.googleapis.com', server)}));
new Perspective({apiKey: key}).analyze(text, {validate: false})
  .then(answer => console.log(JSON.stringify(answer)))
  .catch(error => console.log(JSON.stringify(error.response.data)));
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve on a free port with one key and SEVERE_TOXICITY as an alias. Yields the address."""
    log = tmp_path_factory.mktemp("serve") / "log"
    environ = os.environ | {"API_KEY_HASHES": hashed(KEY), "ATTRIBUTE_ALIASES": "SEVERE_TOXICITY=TOXICITY"}
    process = Process(("toxicity_bot.commands", "serve", "--port", "0"), environ, log)
    yield f"http://127.0.0.1:{process.wait_until_ready()}"
    process.stop()
    assert "Traceback" not in log.read_text()
    assert not any(secret in log.read_text() for secret in (KEY, INSULT))


def toxicity(answer: dict[str, Any]) -> float:
    return float(answer["attributeScores"]["TOXICITY"]["summaryScore"]["value"])


def google(server: str, key: str = KEY) -> Any:
    """Return a client, which the caller must close."""
    address = f"{server}/$discovery/rest?version=v1alpha1"
    arguments: Any = {"discoveryServiceUrl": address, "static_discovery": False, "developerKey": key}
    return build("commentanalyzer", "v1alpha1", **arguments)


def body(text: str, **attributes: Any) -> dict[str, Any]:
    return {"comment": {"text": text}, "requestedAttributes": attributes or {"TOXICITY": {}}, "languages": ["en"]}


def test_google_api_python_client(server: str) -> None:
    with google(server) as service:
        comments = service.comments()
        assert toxicity(comments.analyze(body=body(INSULT)).execute()) > 0.8
        assert toxicity(comments.analyze(body=body(FINE)).execute()) < 0.2
        with pytest.raises(HttpError, match=r"Comment must be non-empty\.") as empty:
            comments.analyze(body=body("")).execute()
        suggestion = {"comment": {"text": FINE}, "attributeScores": {"TOXICITY": {"summaryScore": {"value": 0}}}}
        assert comments.suggestscore(body=suggestion | {"clientToken": "t"}).execute() == {"clientToken": "t"}
    assert (empty.value.status_code, empty.value.error_details[0]["errorType"]) == (400, "COMMENT_EMPTY")
    with google(server, "another") as stranger, pytest.raises(HttpError, match="API key not valid"):
        stranger.comments().analyze(body=body(FINE)).execute()


def test_the_perspective_client_from_pypi(server: str) -> None:
    client = PerspectiveAPI(KEY)
    client.api_client.url = f"{server}/v1alpha1/{{endpoint}}"
    assert client.score(INSULT)["TOXICITY"] > 0.8
    answer = client.analyze_comment(INSULT, span_annotations=True, languages=["en"], do_not_store=True, session_id="1")
    assert toxicity(answer) == client.score(INSULT)["TOXICITY"]
    with pytest.raises(urllib.error.HTTPError, match="400") as empty:
        client.analyze_comment("")
    assert json.load(empty.value)["error"]["message"] == "Comment must be non-empty."
    empty.value.close()


def test_the_request_that_coral_talk_sends(server: str) -> None:
    """As plugins/talk-plugin-toxic-comments sends it to TALK_PERSPECTIVE_API_ENDPOINT, with two attributes."""
    content = json.dumps(body(INSULT, TOXICITY={}, SEVERE_TOXICITY={}) | {"doNotStore": True}).encode()
    address = f"{server}/v1alpha1/comments:analyze?key={KEY}"
    with urllib.request.urlopen(urllib.request.Request(address, content, {"Content-Type": "application/json"})) as got:
        assert json.load(got)["attributeScores"]["SEVERE_TOXICITY"]["summaryScore"]["value"] > 0.8


@pytest.mark.skipif(bool(os.environ.get("NODE_OPTIONAL")), reason="NODE_OPTIONAL is set")
def test_the_perspective_client_from_npm(server: str, tmp_path: Path) -> None:
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(tmp_path)]
    subprocess.run([*install, "perspective-api-client@3.1.0"], check=True, capture_output=True)

    def answer(text: str) -> dict[str, Any]:
        command = ["node", "-e", NODE_CLIENT, server, KEY, text]
        ended = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        answered: dict[str, Any] = json.loads(ended.stdout)
        return answered

    assert toxicity(answer(INSULT)) > 0.8
    error = answer("")["error"]
    assert (error["message"], error["status"]) == ("Comment must be non-empty.", "INVALID_ARGUMENT")


def test_a_port_in_use_and_an_empty_model_dir() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run_module("toxicity_bot.commands", "serve", "--port", port, environ={"MODEL_DIR": ""})
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"cannot listen at 127.0.0.1, port {port}: Address already in use. --port chooses another.\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "scores.example.com"])  # noqa: S104 - is refused
def test_serving_on_a_public_address_requires_keys(host: str) -> None:
    environ = {"API_KEY_HASHES": "", "SLACK_SECRET_ID": ""}
    ended = run_module("toxicity_bot.commands", "serve", "--host", host, environ=environ)
    assert ended.returncode == 2
    assert "API_KEY_HASHES is not set" in ended.stderr
