"""TLS trust, proxies and what went wrong on the way: shared by both clients."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

import httpcore

from mags.errors import MagsError

FAILURES = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})  # no proxy reaches our own
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@dataclass(frozen=True)
class Proxy:
    url: str
    auth: tuple[str, str] | None


def tls_context() -> ssl.SSLContext:
    """Trust what the machine trusts (or SSL_CERT_FILE says): private servers have private CAs."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath:  # a Python without a store, as python.org's on macOS
        import certifi  # noqa: PLC0415 - 6 ms that nobody else needs to pay

        context.load_verify_locations(certifi.where())
    return context


def proxy_for(url: str) -> Proxy | None:
    """The proxy that the usual variables name for `url`."""
    if not any(os.environ.get(name) for name in PROXY_VARIABLES):
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - 20 ms

    parts = urlsplit(url)
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or parts.hostname in LOOPBACK or proxy_bypass(parts.netloc):
        return None
    proxy = urlsplit(found if "://" in found else f"http://{found}")
    if proxy.scheme not in ("http", "https") or not proxy.hostname:
        raise MagsError(
            f"The proxy {proxy.scheme}://{proxy.hostname or ''} is of a kind that mags cannot use.",
            code="bad_config",
            remediation="Name an http:// proxy, or put the server into NO_PROXY.",
        )
    port = f":{proxy.port}" if proxy.port else ""
    host = f"[{proxy.hostname}]" if ":" in proxy.hostname else proxy.hostname
    auth = (unquote(proxy.username), unquote(proxy.password or "")) if proxy.username else None
    return Proxy(f"{proxy.scheme}://{host}{port}", auth)


def proxy_address(url: str) -> str | None:
    """The same as one URL."""
    proxy = proxy_for(url)
    if proxy is None or proxy.auth is None:
        return proxy.url if proxy else None
    user, password = (quote(part, safe="") for part in proxy.auth)
    scheme, _, rest = proxy.url.partition("://")
    return f"{scheme}://{user}:{password}@{rest}"


def header_dict(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def failure(error: Exception, url: str) -> MagsError:
    """What a failed exchange with `url` means to a caller."""
    if isinstance(error, httpcore.TimeoutException) and not isinstance(error, httpcore.ConnectTimeout):
        return MagsError(
            f"{url} took too long to answer.",
            code="timeout",
            remediation="Try again, or give the client a longer timeout.",
            retryable=True,
        )
    detail = str(error).strip().removesuffix(".") or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in detail:
        return MagsError(
            f"The certificate of {url} is not trusted: {detail}",
            code="untrusted_certificate",
            remediation="Name the CA's certificate in SSL_CERT_FILE.",
        )
    if isinstance(error, httpcore.UnsupportedProtocol | httpcore.LocalProtocolError):
        return MagsError(f"Cannot send the request to {url}: {detail}", code="bad_argument")
    is_lost = isinstance(error, httpcore.ReadError | httpcore.WriteError | httpcore.RemoteProtocolError)
    return MagsError(
        f"The connection to {url} was lost: {detail}." if is_lost else f"Cannot reach {url}: {detail}.",
        code="unreachable",
        remediation="Check that the server runs and that MAGS_API_URL is its address.",
        retryable=True,
    )
