"""The proxy world in Python, for componentize-py: what comes in goes out again in capitals."""

from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports.types import Fields, IncomingBody, OutgoingBody, OutgoingResponse, ResponseOutparam


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request, response_out):
        body = request.consume()
        response = OutgoingResponse(Fields.from_list([("x-guest", b"python"), ("x-path", request.path_with_query().encode())]))
        outgoing = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        with body.stream() as source, outgoing.write() as target:
            while True:
                try:
                    data = source.blocking_read(4096)
                except Exception:
                    break
                target.blocking_write_and_flush(data.upper())
        IncomingBody.finish(body)
        OutgoingBody.finish(outgoing, None)
