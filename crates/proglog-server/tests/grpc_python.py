"""Calls a server as clients of gRPC in Python do, with stubs generated from the proto files.

    python3 grpc_python.py ADDRESS PROTO_FOLDER

The server's log has to be empty. Needs grpcio, grpcio-tools, grpcio-status, grpcio-reflection and
grpcio-health-checking.
"""

import pathlib
import sys
import tempfile

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from grpc_status import rpc_status
from grpc_tools import protoc


def generate(protos):
    """Generates the stubs into a folder and makes it importable."""
    folder = tempfile.mkdtemp()
    files = [str(path.relative_to(protos)) for path in pathlib.Path(protos).rglob("*.proto")]
    arguments = ["protoc", f"-I{protos}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
    assert protoc.main(arguments + files) == 0
    sys.path.insert(0, folder)


def status_of(call, *arguments):
    """The error that a call ends with."""
    try:
        call(*arguments)
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call succeeded")


def reason_of(error):
    """The reason in the details of an error."""
    (any_info,) = rpc_status.from_call(error).details
    info = error_details_pb2.ErrorInfo()
    assert any_info.Unpack(info), any_info
    assert info.domain == "proglog"
    return info.reason


def check_book(channel):
    """The service of the book."""
    from log.v1 import log_pb2, log_pb2_grpc

    log = log_pb2_grpc.LogStub(channel)
    for offset, value in enumerate([b"first message", b"second message"]):
        request = log_pb2.ProduceRequest(record=log_pb2.Record(value=value))
        assert log.Produce(request).offset == offset
        got = log.Consume(log_pb2.ConsumeRequest(offset=offset)).record
        assert got == log_pb2.Record(value=value, offset=offset), got

    # A number that gRPC does not define is UNKNOWN in Python; the details have it.
    error = status_of(log.Consume, log_pb2.ConsumeRequest(offset=2))
    assert error.code() == grpc.StatusCode.UNKNOWN, error
    assert error.details() == "offset out of range: 2", error
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    from google.rpc import status_pb2

    status = status_pb2.Status.FromString(details)
    assert status.code == 404, status
    text = error_details_pb2.LocalizedMessage()
    assert status.details[0].Unpack(text)
    assert text.locale == "en-US"
    assert text.message == "The requested offset is outside the log's range: 2"

    error = status_of(log.Produce, log_pb2.ProduceRequest())
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
    assert reason_of(error) == "MALFORMED_BODY"

    count = 1000
    values = [str(number).encode() for number in range(count)]
    requests = (log_pb2.ProduceRequest(record=log_pb2.Record(value=value)) for value in values)
    offsets = [response.offset for response in log.ProduceStream(requests)]
    assert offsets == list(range(2, 2 + count))
    records = log.ConsumeStream(log_pb2.ConsumeRequest(offset=2))
    for offset, value in enumerate(values, start=2):
        assert next(records).record == log_pb2.Record(value=value, offset=offset)
    # It waits at the end.
    log.Produce(log_pb2.ProduceRequest(record=log_pb2.Record(value=b"later")))
    assert next(records).record.value == b"later"
    records.cancel()

    (server,) = log.GetServers(log_pb2.GetServersRequest()).servers
    assert server.is_leader and server.id and server.rpc_addr, server


def check_records(channel):
    """The service of named logs."""
    from log.v1 import log_pb2
    from proglog.v1 import records_pb2, records_pb2_grpc

    records = records_pb2_grpc.RecordsStub(channel)

    def batch(*values, **terms):
        batch = [log_pb2.Record(value=value) for value in values]
        return records_pb2.AppendRequest(log="default", records=batch, **terms)

    appended = records.Append(batch(b"a", b"b"))
    start = appended.start_offset
    assert appended.end_offset == start + 2
    assert appended.durability == records_pb2.DURABILITY_SYNCED, appended

    error = status_of(records.Append, batch(b"c", expected_offset=start))
    assert error.code() == grpc.StatusCode.ABORTED, error
    assert reason_of(error) == "END_MOVED"
    error = status_of(records.Read, records_pb2.ReadRequest(log="defaults"))
    assert error.code() == grpc.StatusCode.NOT_FOUND, error
    assert reason_of(error) == "LOG_NOT_FOUND"

    producer = log_pb2.Producer(id="p")
    first, again = records.AppendStream(iter([batch(b"c", producer=producer)] * 2))
    assert (first.duplicate, again.duplicate) == (False, True)
    assert first.start_offset == again.start_offset == start + 2

    page = records.Read(records_pb2.ReadRequest(log="default", offset=start))
    assert [record.value for record in page.records] == [b"a", b"b", b"c"], page
    assert page.next_offset == page.end_offset == start + 3
    pages = records.Follow(records_pb2.ReadRequest(log="default", last=1))
    assert next(pages).records[0].value == b"c"
    records.Append(batch(b"d"))
    assert next(pages).records[0].value == b"d"
    pages.cancel()


def check_surroundings(channel):
    """Health, reflection, and services that do not exist."""
    health = health_pb2_grpc.HealthStub(channel)
    for service in ["", "log.v1.Log", "proglog.v1.Records"]:
        status = health.Check(health_pb2.HealthCheckRequest(service=service)).status
        assert status == health_pb2.HealthCheckResponse.SERVING
    error = status_of(health.Check, health_pb2.HealthCheckRequest(service="none"))
    assert error.code() == grpc.StatusCode.NOT_FOUND, error

    reflection = ProtoReflectionDescriptorDatabase(channel)
    services = set(reflection.get_services())
    assert {"log.v1.Log", "proglog.v1.Records", "grpc.health.v1.Health"} <= services, services
    file = reflection.FindFileContainingSymbol("log.v1.Log")
    assert [method.name for method in file.service[0].method] == [
        "Produce",
        "Consume",
        "ConsumeStream",
        "ProduceStream",
        "GetServers",
    ]

    error = status_of(channel.unary_unary("/none.Service/Method"), b"")
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error


def main():
    address, protos = sys.argv[1:]
    generate(protos)
    with grpc.insecure_channel(address) as channel:
        check_book(channel)
        check_records(channel)
        check_surroundings(channel)
    print("the calls of gRPC from Python are right")


main()
