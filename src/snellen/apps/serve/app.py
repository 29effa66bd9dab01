"""The application: routes, and the model that is opened before the first request and closed after the last."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from snellen.apps.serve import assess, chat, openapi, reward
from snellen.apps.serve.metrics import CountRequests
from snellen.apps.serve.service import Service
from snellen.apps.web.options import WebOptions
from snellen.apps.web.page import page_routes
from snellen.apps.web.run import web_app

Handler = Callable[[Request, Service], Awaitable[Response]]


def routes(service: Service) -> list[BaseRoute]:
    """Return the routes of the service."""

    def route(path: str, handler: Handler, method: str = "POST") -> Route:
        async def endpoint(request: Request) -> Response:
            return await handler(request, service)

        return Route(path, endpoint, methods=[method], name=path)

    found: list[BaseRoute] = [
        route("/v1/assess", assess.assess),
        route("/v1/score", assess.score),
        route("/v1/reward", reward.reward),
        route("/healthz", health, "GET"),
        route("/metrics", metrics, "GET"),
        route("/openapi.json", describe, "GET"),
        *page_routes("snellen.apps.web.viewer"),
    ]
    if not service.backend.reads_prompts:  # others have servers of their own, which read the prompts
        found += [route("/v1/chat/completions", chat.complete), route("/v1/models", chat.models, "GET")]
    return found


async def health(request: Request, service: Service) -> Response:
    """GET /healthz: the server is up, and which model it has."""
    return JSONResponse({"status": "ok", **service.describe()})


async def metrics(request: Request, service: Service) -> Response:
    """GET /metrics: numbers for Prometheus."""
    return service.metrics.response()


async def describe(request: Request, service: Service) -> Response:
    """GET /openapi.json: this interface in OpenAPI 3.1."""
    backend = service.backend
    return JSONResponse(openapi.description(backend.name, backend.reads_prompts, service.fetcher is not None))


def service_app(service: Service, options: WebOptions) -> Starlette:
    """Return the application of a service; the threads of the service end with it."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(service.batcher.close)

    served = routes(service)
    service.metrics.waiting(lambda: service.batcher.waiting)
    app = web_app(served, options, lifespan)
    paths = [route.path for route in served if isinstance(route, Route)]
    app.add_middleware(CountRequests, metrics=service.metrics, paths=paths)
    return app
