# ruff: noqa: N802, D102, ARG002  (names and parameters are ArmoniK's)
"""The ``Results`` service."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from armonik.protogen.common import results_common_pb2 as pb

from pymonik.cluster.messages import result_raw
from pymonik.cluster.services.answering import answering, refuse, streaming
from pymonik.cluster.services.fields import RESULTS
from pymonik.cluster.services.handlers import Handlers, handler
from pymonik.cluster.services.lists import ListRequest
from pymonik.cluster.state.faults import FailedPrecondition, InvalidArgument
from pymonik.transport import streams
from pymonik.wire.status import Code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pymonik.cluster.control_plane import ControlPlane
    from pymonik.cluster.state.rows import Result
    from pymonik.wire.containers import Buffer

CHUNK_SIZE = (
    2 * 1024 * 1024
)  # bytes; ArmoniK's default, and below gRPC's limit of 4 MiB for clients


class ResultsService:
    """Results: metadata and bytes."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane

    @answering
    def CreateResultsMetaData(self, request: Any, context: Any) -> Any:
        created = self._control_plane.create_results(
            request.session_id,
            [(name, one.manual_deletion, None) for name, one in _named(request.results)],
            result_raw,
        )
        return pb.CreateResultsMetaDataResponse(results=created)

    @answering
    def CreateResults(self, request: Any, context: Any) -> Any:
        created = self._control_plane.create_results(
            request.session_id,
            [(name, one.manual_deletion, one.data) for name, one in _named(request.results)],
            result_raw,
        )
        return pb.CreateResultsResponse(results=created)

    @answering
    def UploadResultData(self, request_iterator: Any, context: Any) -> Any:
        first = next(request_iterator, None)
        if first is None:
            raise FailedPrecondition("Missing result metadata")
        # A memoryview is a chunk, which `_upload_message` has taken past protobuf.
        if isinstance(first, memoryview) or first.WhichOneof("type") != "id":
            raise InvalidArgument("Message should be an Id")
        # Further `id` messages count as empty chunks.
        chunks = (_data(message) for message in request_iterator)
        uploaded = self._control_plane.upload(
            first.id.session_id, first.id.result_id, chunks, _uploaded
        )
        return pb.UploadResultDataResponse(result=uploaded)

    @streaming
    def DownloadResultData(self, request: Any, context: Any) -> Iterator[Any]:
        for chunk in self._control_plane.download(request.result_id, CHUNK_SIZE):
            yield streams.encode(streams.DOWNLOAD_FIELD, (chunk,))

    @answering
    def ImportResultsData(self, request: Any, context: Any) -> Any:
        imports = [
            (one.result_id, one.opaque_id.decode(errors="replace")) for one in request.results
        ]
        imported = self._control_plane.import_data(request.session_id, imports, result_raw)
        return pb.ImportResultsDataResponse(results=imported)

    @answering
    def DeleteResultsData(self, request: Any, context: Any) -> Any:
        self._control_plane.delete_data(tuple(request.result_id))
        return pb.DeleteResultsDataResponse(result_id=request.result_id)

    @answering
    def GetResult(self, request: Any, context: Any) -> Any:
        with self._control_plane.reading() as state:
            return pb.GetResultResponse(result=result_raw(state.result(request.result_id)))

    @answering
    def GetOwnerTaskId(self, request: Any, context: Any) -> Any:
        """Like ArmoniK's, it answers the name of a result where its ID is expected."""
        with self._control_plane.reading() as state:
            pairs = [_owner(one) for one in state.known_results(dict.fromkeys(request.result_id))]
        return pb.GetOwnerTaskIdResponse(result_task=pairs, session_id=request.session_id)

    @answering
    def ListResults(self, request: Any, context: Any) -> Any:
        query = ListRequest(RESULTS, request)
        with self._control_plane.reading() as state:
            rows, total = query.run(state.results, state.results_of)
            found = [result_raw(result) for result in rows]
        return pb.ListResultsResponse(
            results=found, page=request.page, page_size=request.page_size, total=total
        )

    @answering
    def GetServiceConfiguration(self, request: Any, context: Any) -> Any:
        return pb.ResultsServiceConfigurationResponse(data_chunk_max_size=CHUNK_SIZE)

    def WatchResults(self, request_iterator: Any, context: Any) -> Any:
        refuse(context, Code.UNIMPLEMENTED, "")


def _named(creations: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Each with its name, which is one string for all that have the same."""
    names: dict[str, str] = {}
    for one in creations:
        yield names.setdefault(name := one.name, name), one


def data_streams(service: ResultsService) -> Handlers:
    """The methods that move data, for which protobuf is too slow.

    To be added to a server before the service itself.
    """
    path = "/armonik.api.grpc.v1.results.Results/"
    return Handlers(
        {
            f"{path}UploadResultData": handler(
                service.UploadResultData,
                _upload_message,
                pb.UploadResultDataResponse.SerializeToString,
                takes_stream=True,
            ),
            f"{path}DownloadResultData": handler(
                service.DownloadResultData,
                pb.DownloadResultDataRequest.FromString,
                gives_stream=True,
            ),
        }
    )


def _upload_message(message: bytes) -> Any:
    """A chunk as it is; any other message as protobuf reads it."""
    chunk = streams.decode(streams.UPLOAD_FIELD, message)
    return pb.UploadResultDataRequest.FromString(message) if chunk is None else chunk


def _data(message: Any) -> Buffer:
    return message if isinstance(message, memoryview) else bytes(message.data_chunk)


def _uploaded(result: Result, completed_before: int | None) -> Any:
    """Like ArmoniK's, the answer to an upload has the instant of the completion before it."""
    return result_raw(replace(result, completed_at=completed_before))


def _owner(result: Result) -> Any:
    return pb.GetOwnerTaskIdResponse.MapResultTask(
        result_id=result.name, task_id=result.owner_task_id
    )
