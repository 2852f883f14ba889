"""Files of messages, put together: where they are kept, what fetches them, who gives them out."""

import logging
import uuid
from dataclasses import dataclass

import asyncpg
import orjson
from starlette.routing import Route

from gateway.domain.errors import ConfigError
from gateway.domain.media import MIB
from gateway.http.auth import Gate
from gateway.http.media import MediaRoutes
from gateway.http.old_clients_media import OldClientRoutes
from gateway.postgres.media.keep import MediaKeepTable
from gateway.postgres.media.media import MediaTable
from gateway.postgres.media.store_check import compare_store
from gateway.runtime.access import Access
from gateway.runtime.context import BuildContext
from gateway.runtime.data_dir import data_dir
from gateway.runtime.live import Live
from gateway.runtime.repositories import Repositories
from gateway.runtime.upstream import Upstream
from gateway.services.media import voice
from gateway.services.media.decryption import Decryption
from gateway.services.media.fetcher import Fetcher
from gateway.services.media.files import MediaFiles
from gateway.services.media.keeper import Keeper
from gateway.services.media.links import MediaLinks
from gateway.services.media.own_files import OwnFiles
from gateway.services.media.scratch import Scratch
from gateway.services.media.sendable import SendUploads
from gateway.services.media.service import MediaService
from gateway.services.media.uploads import UploadQuota, Uploads
from gateway.settings import Settings
from gateway.wasender.decrypt_request import wanted_of
from gateway.wasender.media_host import MediaHost
from gateway.wasender.media_hosts import MediaHosts
from gateway.wasender.messages import Messages

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MediaGround:
    """What everything about files stands on."""

    table: MediaTable
    files: MediaFiles
    scratch: Scratch
    host: MediaHost


class Media:
    """Everything about files that the gateway runs and its routes call."""

    def __init__(
        self,
        ground: MediaGround,
        keep: MediaKeepTable,
        live: Live,
        days: float,
        secret: str,
        quota: UploadQuota,
    ) -> None:
        table, files, scratch = ground.table, ground.files, ground.scratch
        self.table = table
        self.files = files
        self.media_fetcher = Fetcher(table, ground.host, files, scratch, awake=live.awake)
        self.media_keeper = Keeper(keep, files, days=days, awake=live.awake)
        self.giving = MediaService(table, files, scratch)
        self.uploads = Uploads(table, files, scratch, quota)
        self.old_clients = Decryption(table, ground.host, wanted_of)
        self.links = MediaLinks(secret)

    def uploads_of(self, upstream: Upstream) -> SendUploads:
        """What hands files to WasenderAPI as they are sent."""
        return SendUploads(self.table, self.files, Messages(upstream.client))

    def own_files(self, address: str) -> OwnFiles:
        """What knows our own addresses of files; `address` is where we are reached."""
        return OwnFiles(self.table, self.giving, self.links, address)

    @property
    def can_record(self) -> bool:
        """Whether voice notes that a browser records can be sent."""
        return voice.IS_POSSIBLE

    def routes(self, gate: Gate, access: Access, address: str) -> list[Route]:
        """`/api/media`; `address` is where we are reached."""
        return [
            *MediaRoutes(
                gate, access.login, self.giving, self.uploads, self.links, prefix=access.prefix
            ).routes(),
            *OldClientRoutes(gate, self.giving, self.uploads, self.old_clients, self.links, address).routes(),
        ]


async def open_media(
    context: BuildContext, repositories: Repositories, upstream: Upstream, live: Live
) -> Media:
    """Closed with the stack. Raises ConfigError where the media store cannot be used, or is not the others'."""
    settings, gateway_id, stack = context.settings, context.gateway_id, context.stack
    files = await open_files(settings, repositories.pool, repositories.installation, gateway_id)
    scratch = Scratch(data_dir(settings) / "media-scratch")
    stack.callback(scratch.close)
    host = MediaHost(MediaHosts(settings.media_hosts, upstream.client.root), upstream.background)
    await host.open()
    stack.push_async_callback(host.close)
    table = MediaTable(repositories.pool, repositories.sessions, gateway_id)
    ground, keep = MediaGround(table, files, scratch, host), MediaKeepTable(repositories.pool)
    limits = settings.limits
    quota = UploadQuota(limits.unused_uploads, limits.unused_uploads_mib * MIB)
    media = Media(ground, keep, live, settings.media_days, context.secret, quota)
    stack.push_async_callback(media.giving.close)
    return media


def media_url(settings: Settings, installation: str) -> str:
    """Where files of messages are kept: in the data folder unless told otherwise, apart for each database."""
    return settings.media_url or (data_dir(settings) / "media" / installation).absolute().as_uri()


async def open_files(
    settings: Settings, pool: asyncpg.Pool, installation: str, gateway_id: str
) -> MediaFiles:
    """The media store, which all gateways of the database share. Raises ConfigError where they do not."""
    url = media_url(settings, installation)
    files = MediaFiles.at(url)
    store = await _marked(files, url, installation)
    match await compare_store(pool, store, url, gateway_id):
        case "differs":
            raise ConfigError(
                f"The media store {url} is not the one that the running gateways of this database use. Give all of "
                "them the same GATEWAY_MEDIA_URL: a folder that they share, or an s3:// address."
            )
        case "moved":
            logger.warning(
                "media.store_changed url=%s Files that were stored before are served again once `gateway media move` "
                "has copied them here.",
                url,
            )
    return files


async def _marked(files: MediaFiles, url: str, installation: str) -> str:
    """The name of the store, which is made for a new one. Raises ConfigError where it is another database's."""
    marker = await files.marker()
    if marker is None:
        await files.put_marker(orjson.dumps({"store": str(uuid.uuid4()), "installation": installation}))
        marker = await files.marker()
    try:
        told = orjson.loads(marker or b"")
        store, owner = str(told["store"]), str(told["installation"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise ConfigError(
            f"The marker of the media store {url} is broken. Delete gateway-media.json there."
        ) from None
    if owner != installation:
        raise ConfigError(
            f"The media store {url} is another database's. Set GATEWAY_MEDIA_URL to one of this database's own; after "
            "a move of the database, delete gateway-media.json there."
        )
    return store
