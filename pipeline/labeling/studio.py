"""Label Studio's server as this pipeline needs it: one project, its tasks, and errors that say what to do.

Whatever may be asked twice is asked again after a fault, waiting as the server wishes. What may not (creating tasks)
raises UnsureError instead, since the server may have done it: the caller looks, and sends what is missing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from json import JSONDecodeError
from pathlib import Path
from typing import Any, TypeVar

import httpx
from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError
from label_studio_sdk.label_interface.interface import LabelInterface
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from pipeline.labeling.tasks import BOX, INTERFACE, LABELS, TYPES

PAGE = 100  # tasks asked for at once
TITLE = 3  # characters that a project's title has at least, or the server refuses it
Answer = TypeVar("Answer")


class StudioError(ValueError):
    """The server cannot do what is asked; the message says why and what to do, and holds no token."""


class UnsureError(StudioError):
    """The server gave no clear answer: it may have done what was asked, or not."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait  # seconds that the server asks for


@dataclass(frozen=True, slots=True)
class Patience:
    """How often to ask, how long to wait between, and for an answer; seconds. Waits double, up to `longest`."""

    attempts: int = 5
    first: float = 1.0
    longest: float = 30.0
    answer: float = 60.0

    def wait(self, attempt: int, asked: float | None) -> float:
        """Before the next attempt after number `attempt` (from 1): what the server asked for, within bounds."""
        return min(self.longest, asked if asked is not None else self.first * 2 ** (attempt - 1))


@dataclass(frozen=True, slots=True)
class Task:
    """A task of ours on the server; `annotations` and `drafts` as the server tells them."""

    id: int
    sample: str
    data: Mapping[str, Any]
    meta: Mapping[str, Any]
    labelled: bool
    predictions: tuple[tuple[int, str], ...]  # id and model version
    annotations: tuple[Mapping[str, Any], ...]
    drafts: tuple[Mapping[str, Any], ...]


@dataclass
class Studio:
    """A project on a server. `project` is 0 until `open` or `create` found one."""

    url: str
    api_key: str = field(repr=False)
    patience: Patience = Patience()
    project: int = 0
    _client: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log every address asked for
        self.url = self.url.rstrip("/")
        try:
            self._client = LabelStudio(  # type: ignore[no-untyped-call]
                base_url=self.url, api_key=self.api_key, timeout=self.patience.answer, max_retries=0
            )
        except ApiError:
            raise StudioError(self._refused()) from None

    def _refused(self) -> str:
        return (
            f"Label Studio at {self.url} refuses the token; copy a valid one from its page Account & Settings and set "
            "LABEL_STUDIO_API_KEY to it"
        )

    def ask(self, request: Callable[[Any], Answer]) -> Answer:
        """The answer to a request that may be made twice, asked again after a fault."""

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return self.patience.wait(state.attempt_number, error.wait if isinstance(error, UnsureError) else None)

        retrying = Retrying(
            stop=stop_after_attempt(self.patience.attempts),
            wait=wait,
            retry=retry_if_exception_type(UnsureError),
            reraise=True,
        )
        answer: Answer = retrying(self.once, request)
        return answer

    def once(self, request: Callable[[Any], Answer]) -> Answer:
        """The answer to a request that must not be made twice; UnsureError where nobody knows whether it was done."""
        try:
            return request(self._client)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL):
            raise UnsureError(
                f"no Label Studio answers at {self.url}; start one with `make label-studio`, or set LABEL_STUDIO_URL"
            ) from None
        except httpx.HTTPError as error:
            raise UnsureError(f"Label Studio at {self.url} gave no whole answer ({type(error).__name__})") from None
        except ApiError as error:
            raise self._told(error) from None
        except JSONDecodeError:  # the SDK lets it through where it changes a personal token for a short-lived one
            raise UnsureError(self._not_studio()) from None

    def _not_studio(self) -> str:
        return f"what answers at {self.url} is not Label Studio, or broke off: its answer is not JSON as expected"

    def _told(self, error: ApiError) -> StudioError:
        code = error.status_code or 0
        if code in (401, 403):
            return StudioError(self._refused())
        if code in (408, 429) or code >= 500:
            return UnsureError(
                f"Label Studio at {self.url} answers {code}; try again later", _asked_wait(error.headers)
            )
        if 200 <= code < 300:
            return UnsureError(self._not_studio())
        return StudioError(f"Label Studio at {self.url} answers {code}: {_detail(error.body)}")

    def open(self, title: str) -> bool:
        """Finds the project of this title, and makes sure that it has our interface; False where there is none."""
        if len(title) < TITLE:
            raise StudioError(f"sync_labels.project: a title has {TITLE} characters at least, and {title!r} has fewer")
        fields = "id,title,label_config"  # not all the counts, which take long
        projects = self.ask(lambda client: list(client.projects.list(title=title, include=fields)))
        found = [project for project in projects if project.title == title]
        if len(found) > 1:
            ids = ", ".join(str(project.id) for project in found)
            raise StudioError(f"{len(found)} projects are called {title!r} ({ids}): rename all but one of them")
        if not found:
            return False
        self.project = int(found[0].id)
        self._check_interface(title, str(found[0].label_config))
        return True

    def create(self, title: str) -> None:
        """Creates the project, or takes the one that an unclear answer left behind."""
        config = INTERFACE.read_text(encoding="utf-8")
        about = "Licence plates whose labels are to be looked at. Kept by `alpr labels`."
        for attempt in count(1):
            try:
                self.project = self.once(
                    lambda client: int(
                        client.projects.create(
                            title=title, description=about, label_config=config, model_version=PREDICTED_LABELS
                        ).id
                    )
                )
                return
            except UnsureError as error:
                time.sleep(self.patience.wait(attempt, error.wait))
                if self.open(title):
                    return
                if attempt >= self.patience.attempts:
                    raise

    def _check_interface(self, title: str, config: str) -> None:
        """Brings an older interface of ours up to date; one that people extended stays as it is."""
        fresh = INTERFACE.read_text(encoding="utf-8")
        wanted, present = _controls(fresh), _controls(config)
        if all(choices <= present.get(control, frozenset()) for control, choices in wanted.items()):
            return
        if LABELS[BOX] not in present.get(BOX, ()):
            raise StudioError(
                f"the project {title!r} at {self.url} has another labelling interface, not that of licence plates; "
                "set sync_labels.project in params.yaml to another title, and push makes a new project"
            )
        if not all(choices <= wanted.get(control, frozenset()) for control, choices in present.items()):
            raise StudioError(
                f"the labelling interface of {title!r} at {self.url} was changed by hand and lacks some of ours: take "
                f"what it lacks from {INTERFACE}, or set sync_labels.project in params.yaml to another title"
            )
        self.ask(lambda client: client.projects.update(id=self.project, label_config=fresh))

    def tasks(self) -> list[Task]:
        """All tasks of ours in the project, each with its annotations, drafts and predictions, by id."""
        found: dict[int, Task] = {}
        for page in count(1):
            total, tasks = self.ask(partial(self._page, page))
            found |= {int(task.id): _task(task, self._drafts(task)) for task in tasks}
            if page * PAGE >= total or not tasks:
                break
        return [found[number] for number in sorted(found) if found[number].sample]

    def _page(self, page: int, client: Any) -> tuple[int, Sequence[Any]]:
        """How many tasks there are in all, and those of one page; a page that is gone since the last holds none."""
        try:
            answer = client.tasks.list(project=self.project, fields="all", page=page, page_size=PAGE).response
        except ApiError as error:
            if page > 1 and error.status_code == 404:
                return 0, ()
            raise
        if answer.total is None or answer.tasks is None:  # taken for no tasks, it would make all annotations tombstones
            raise ApiError(status_code=200)
        return int(answer.total), answer.tasks

    def _drafts(self, task: Any) -> Sequence[Mapping[str, Any]]:
        """Everybody's drafts of a task; in a listing the server shows only one's own, and that there are some."""
        if not task.draft_exists:
            return ()
        return tuple(self.ask(lambda client: self._json(client, "GET", f"/api/tasks/{task.id}/drafts")))

    def users(self) -> dict[int, str]:
        """Each user's e-mail address by id."""
        return {int(user.id): str(user.email) for user in self.ask(lambda client: list(client.users.list()))}

    def send(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Creates tasks; UnsureError where some may have been created."""
        self.once(lambda client: client.projects.import_tasks(id=self.project, request=list(tasks)))

    def predict(self, task: int, prediction: Mapping[str, Any]) -> None:
        """Adds a prediction to a task; UnsureError where it may have been added."""
        self.once(lambda client: client.predictions.create(task=task, **prediction))

    def reopen(self, task: int, data: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        """Puts a task back among those to be done, with new data."""
        self.ask(lambda client: client.tasks.update(id=str(task), data=data, meta=meta, is_labeled=False))

    def delete_task(self, task: int) -> None:
        """Deletes a task; one that is gone already is fine."""
        self.ask(lambda client: _unless_gone(lambda: client.tasks.delete(id=str(task))))

    def delete_prediction(self, prediction: int) -> None:
        """Deletes a prediction; one that is gone already is fine."""
        self.ask(lambda client: _unless_gone(lambda: client.predictions.delete(id=prediction)))

    def serve(self, folder: str) -> None:
        """Lets the project show the pictures in a folder of the server's machine; nothing is copied."""
        storages = self.ask(lambda client: client.import_storage.local.list(project=self.project))
        if any(storage.path == folder for storage in storages):
            return
        try:
            self.ask(
                lambda client: client.import_storage.local.create(
                    project=self.project, path=folder, use_blob_urls=True, title="pictures"
                )
            )
        except UnsureError:
            raise
        except StudioError as error:
            raise StudioError(
                f"{error}. The server cannot show the pictures in {folder}: start it with `make label-studio`, or let "
                "push send them (sync_labels.images: upload in params.yaml)"
            ) from None

    def shows(self, address: str) -> bool:
        """Whether the server can show a picture, by its address on the server; with file serving off it answers 403."""
        return self.ask(lambda client: self._raw(client, "GET", address, headers={"Range": "bytes=0-0"}).is_success)

    def uploads(self) -> dict[str, str]:
        """Addresses of the pictures that were uploaded, by the name that each was given."""
        found = self.ask(
            lambda client: self._json(
                client, "GET", f"/api/projects/{self.project}/file-uploads", params={"all": "true"}
            )
        )
        names = {str(one["file"]): Path(str(one["file"])).name for one in found}
        return {name.split("-", 1)[-1]: f"/data/{path}" for path, name in names.items()}

    def upload(self, name: str, picture: bytes) -> None:
        """Uploads a picture without making a task of it; UnsureError where it may be there now."""
        address = f"/api/projects/{self.project}/import"
        self.once(
            lambda client: self._json(
                client, "POST", address, params={"commit_to_project": "false"}, files={"file": (name, picture)}
            )
        )

    def _raw(self, client: Any, method: str, address: str, **options: Any) -> httpx.Response:
        """An answer that the SDK has no method for, with its headers; server faults as the SDK raises them."""
        wrapper = client._client_wrapper
        headers = {**wrapper.get_headers(), **options.pop("headers", {})}
        answer: httpx.Response = wrapper.httpx_client.httpx_client.request(
            method, self.url + address, headers=headers, timeout=self.patience.answer, **options
        )
        if answer.status_code in (401, 408, 429) or answer.status_code >= 500:
            raise ApiError(status_code=answer.status_code, headers=dict(answer.headers), body=None)
        return answer

    def _json(self, client: Any, method: str, address: str, **options: Any) -> Any:
        answer = self._raw(client, method, address, **options)
        try:
            body = answer.json()
        except ValueError:
            raise ApiError(status_code=answer.status_code, headers=dict(answer.headers), body=None) from None
        if not answer.is_success:
            raise ApiError(status_code=answer.status_code, headers=dict(answer.headers), body=body)
        return body


PREDICTED_LABELS = "labels"  # the model version under which current labels are shown, to start from
PREDICTED_MODEL = "model"  # and that of what the recogniser finds and reads


def _task(task: Any, drafts: Sequence[Mapping[str, Any]]) -> Task:
    data = dict(task.data or {})
    return Task(
        id=int(task.id),
        sample=str(data.get("sample") or ""),
        data=data,
        meta=dict(task.meta or {}),
        labelled=bool(task.is_labeled),
        predictions=tuple((int(one.id), str(one.model_version)) for one in task.predictions or []),
        annotations=tuple(_plain(one) for one in task.annotations or []),
        drafts=tuple(drafts),
    )


def _plain(one: Any) -> Mapping[str, Any]:
    return one if isinstance(one, Mapping) else one.dict()


def _controls(config: str) -> dict[str, frozenset[str]]:
    """The controls of an interface that are ours by name and type, and what each lets choose."""
    try:
        interface = LabelInterface(config)
    except Exception:  # whatever the SDK's XML parser and checks raise: then it is none of ours
        return {}
    return {
        control.name: frozenset(getattr(control, "labels", None) or ())
        for control in interface.controls
        if TYPES.get(control.name) == control.tag.lower()
    }


def _unless_gone(delete: Callable[[], None]) -> None:
    try:
        delete()
    except ApiError as error:
        if error.status_code != 404:
            raise


def _asked_wait(headers: Mapping[str, str] | None) -> float | None:
    """Seconds of a Retry-After header; None without one, or where it names a date."""
    try:
        return max(0.0, float({k.lower(): v for k, v in (headers or {}).items()}["retry-after"]))
    except (KeyError, ValueError):
        return None


def _detail(body: Any) -> str:
    """What a refusal says, shortened; never headers, which may hold a session."""
    if not isinstance(body, Mapping):
        return "no reason given"
    wrong = body.get("validation_errors") or body.get("detail") or "no reason given"
    return str(wrong)[:300]
