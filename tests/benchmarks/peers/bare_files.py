"""A bare file server: Starlette's FileResponse on uvicorn, nothing asked, nothing looked up."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from gateway.runtime.listen_socket import address_of, bind


async def _file(request: Request) -> Response:
    return FileResponse(sys.argv[1], media_type="image/jpeg")


def main() -> None:
    sock = bind("127.0.0.1", 0)
    sys.stdout.write(f"ready {address_of(sock).rpartition(':')[2]}\n")
    app = Starlette(routes=[Route("/file", _file)])
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[sock])


if __name__ == "__main__":
    main()
