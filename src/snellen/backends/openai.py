"""Any vision-language model behind an OpenAI-compatible chat completions server (vLLM, llama.cpp, OpenAI, ...)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from snellen.backend import Backend, BackendError, Conversation, RatingDistribution, Reply, Sampling, seeds
from snellen.backends.abilities import CONTINUE, Abilities, data_url, probe, response_format
from snellen.backends.box_units import box_scale
from snellen.backends.chat_server import ChatServer, RequestError, Transport, Waiting
from snellen.backends.completion import (
    Completion,
    CompletionError,
    from_schema,
    rating_schema,
    read_completion,
    reply_schema,
)
from snellen.backends.rating_logprobs import level_mass, recover
from snellen.backends.rating_tokens import (
    RATING_KEY,
    RATING_TOKENS,
    distribution,
    leading_number,
    level_distribution,
)
from snellen.image import View
from snellen.reply import RATING_PREFIX, ReplyError, parse_reply

ASK_RATING = 'Do not write the paragraphs this time. Reply only with the JSON object {"rating": N.NN}.'
"""End of the prompt in score-only mode, for servers that do not continue a given beginning."""
PATH = "/chat/completions"


class OpenAIBackend(Backend):
    """A model behind a chat completions server; needs the extra `openai`.

    At opening, a few small requests find out what the server can do, see `Abilities`. The rating distribution comes
    from log-probabilities, see `rating_logprobs`; where it cannot be recovered the written rating counts. A request
    that fails is that picture's error (`Reply.failure`), unless the server does not answer at all.

    The API key is that of the environment variable OPENAI_API_KEY, if set; it goes to the given address only.

    Args:
        address: URL#MODEL, for example `http://localhost:8000/v1#Qwen/Qwen2.5-VL-7B-Instruct`.
        long_side: longest side of a view, px. Views are cut from the picture's own pixels and sent as PNG.
        concurrency: requests in flight at a time; also the size of a batch.
        timeout: seconds that one attempt may take in all.
        attempts: how often a request is sent that does not get through, or gets a status of `RETRIED`.
        wait: seconds before the second attempt, doubled for each further one, unless the server sends Retry-After.
        structured: when a reply is held to a JSON schema, where the server can: "retry" after a reply that cannot be
            read, "always", "never".
        abilities: what the server can do, where it is known; nothing is asked then.

    Raises:
        ValueError: `address` has another form.
        MissingExtra: httpx is not installed.
        BackendError: the server cannot be reached, does not serve the model, or the model takes no pictures; also from
            `reply` and `rate`, when the server does not answer any more.
    """

    def __init__(
        self,
        address: str,
        *,
        long_side: int = 1024,
        concurrency: int = 32,
        timeout: float = 300.0,
        attempts: int = 5,
        wait: float = 1.0,
        structured: str = "retry",
        abilities: Abilities | None = None,
    ) -> None:
        url, _, model = address.partition("#")
        if not url.startswith(("http://", "https://")) or not model:
            raise ValueError("an OpenAI-compatible model is given as http(s)://HOST/v1#MODEL")
        server = ChatServer(url, concurrency=concurrency, timeout=timeout, attempts=attempts, wait=wait)
        self.server: Transport = server
        self.name = model
        self.version = self.server.shown
        self.long_side = long_side
        self.batch_size = concurrency
        self.structured = structured
        if abilities is None:
            abilities = server.run(probe(server, model, _parameters(Sampling(), 0)))
        self.abilities = abilities
        self.details = {"server": abilities.to_dict(), "structured": structured}

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `Backend.reply`. Of equal conversations in one batch each gets a seed of its own."""
        own = seeds(conversations, sampling.seed)
        return self._all([self._reply(*one, sampling) for one in zip(conversations, own, strict=True)])

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """See `Backend.rate`; the reply is forced up to its rating where the server continues it."""
        return self._all([self._rate(conversation) for conversation in conversations])

    def rate_levels(self, conversations: Sequence[Conversation], stem: str, levels: Mapping[str, float]) -> list[Reply]:
        """See `Backend.rate_levels`; a word that is not among the listed alternatives counts as not recovered."""
        if not (self.abilities.continues and self.abilities.top_logprobs):
            raise BackendError(
                f"{self.version} gives no log-probabilities of a reply that was begun, which the protocol levels reads;"
                " use another protocol, or a server that does (vLLM, llama.cpp)"
            )
        return self._all([self._levels(conversation, stem, levels) for conversation in conversations])

    def box_scale(self, view: View) -> tuple[float, float] | None:
        """See `Backend.box_scale`; by the name of the model or of its checkpoint."""
        height, width = view.shown(self.long_side).shape[:2]
        names = [self.name, self.abilities.root or ""]
        return next((scale for name in names if (scale := box_scale(name, (width, height)))), None)

    def _all(self, work: Sequence[Any]) -> list[Reply]:
        async def gather() -> list[Reply]:
            tasks = [asyncio.ensure_future(one) for one in work]
            try:
                return list(await asyncio.gather(*tasks))
            finally:
                for task in tasks:
                    task.cancel()

        return self.server.run(gather())

    async def _reply(self, conversation: Conversation, seed: int, sampling: Sampling) -> Reply:
        labels = conversation[-1].labels
        can = self.abilities.schema and self.structured != "never" and bool(labels)
        try:
            reply = await self._ask(conversation, seed, sampling, labels if can and self.structured == "always" else ())
            if (
                can
                and self.structured == "retry"
                and reply.finish == "stop"
                and not self._readable(conversation, reply)
            ):
                again = await self._ask(conversation, seed, sampling, labels)
                if self._readable(conversation, again):
                    return again
            return reply
        except (RequestError, CompletionError, Waiting) as error:
            return await self._failed(error)

    async def _rate(self, conversation: Conversation) -> Reply:
        try:
            if self.abilities.continues:
                done = await self._complete(conversation, 0, Sampling(max_tokens=RATING_TOKENS), RATING_PREFIX)
                rating, mass = await self._rating(conversation, done, RATING_PREFIX)
                return Reply(leading_number(done.text), rating=rating, finish="rating", rating_mass=mass)
            schema = rating_schema() if self.abilities.schema and self.structured != "never" else None
            done = await self._complete(conversation, 0, Sampling(max_tokens=64), schema=schema, last=ASK_RATING)
            rating, mass = await self._rating(conversation, done, "")
            return Reply(_number(done.text), rating=rating, finish="rating", rating_mass=mass)
        except (RequestError, CompletionError, Waiting) as error:
            return await self._failed(error)

    async def _levels(self, conversation: Conversation, stem: str, levels: Mapping[str, float]) -> Reply:
        """Return the distribution over level words; words of several tokens are followed, one request a beginning."""
        mass: dict[str, float] = {}
        waiting = {"": 1.0}
        try:
            while waiting:
                known = min(waiting, key=len)  # the shorter first: a longer one may gain from it
                weight = waiting.pop(known)
                beginning = f"{stem} {known}" if known else stem
                done = await self._complete(conversation, 0, Sampling(max_tokens=1), beginning)
                found, begun = level_mass(done.choices, known, levels)
                mass |= {word: mass.get(word, 0.0) + weight * found[word] for word in levels if word in found}
                waiting |= {text: waiting.get(text, 0.0) + weight * found[text] for text in begun}
        except (RequestError, CompletionError, Waiting) as error:
            return await self._failed(error)
        rating, recovered = level_distribution(mass, levels), min(1.0, sum(mass.values()))
        return Reply("", rating=rating, finish="rating", rating_mass=recovered)

    async def _ask(self, conversation: Conversation, seed: int, sampling: Sampling, labels: Sequence[str]) -> Reply:
        """Return one reply, held to the schema of these section labels if there are any."""
        schema = reply_schema(labels) if labels else None
        done = await self._complete(conversation, seed, sampling, schema=schema)
        text, repaired = done.text, done.repaired
        if labels:
            text, repaired = from_schema(done.text, labels), (*repaired, "asked for JSON")
        logprobs = tuple(choice.alternatives[choice.text] for choice in done.choices)
        rating, mass = await self._rating(conversation, done, "")
        return Reply(
            text, logprobs=logprobs, rating=rating, finish=done.finish, repaired=repaired, rating_mass=mass,
            prompt_tokens=done.prompt_tokens, reply_tokens=done.reply_tokens,
        )  # fmt: skip

    async def _complete(
        self,
        conversation: Conversation,
        seed: int,
        sampling: Sampling,
        prefix: str = "",
        *,
        schema: dict[str, Any] | None = None,
        last: str = "",
    ) -> Completion:
        def body() -> dict[str, Any]:
            return self.request(conversation, sampling, prefix, seed=seed, schema=schema, last=last)

        answer = await self.server.post(PATH, body)
        try:
            return read_completion(answer, prefix)
        except CompletionError as error:
            raise CompletionError(f"{self.server.shown}: {error}: {self.server.excerpt(answer)}") from error

    async def _rating(
        self, conversation: Conversation, done: Completion, prefix: str
    ) -> tuple[RatingDistribution | None, float | None]:
        """Return the distribution over the rating and the probability that was recovered; None without any.

        Branches that the reply does not show are asked for.
        """
        found = recover(prefix, done.choices)
        if found is None:
            return None, None
        asked = found.asked() if self.abilities.continues else []

        async def follow(branch: str) -> Any:
            beginning = found.before + branch
            more = await self._complete(conversation, 0, Sampling(max_tokens=RATING_TOKENS), beginning)
            return recover(beginning, more.choices)

        try:
            more = dict(zip(asked, await asyncio.gather(*map(follow, asked)), strict=True))
        except (RequestError, CompletionError):  # what is not recovered is missing in the mass, nothing else
            more = {}
        mass = found.joined(more)
        return distribution(mass), min(1.0, sum(mass.values()))

    def _readable(self, conversation: Conversation, reply: Reply) -> bool:
        number = 1 + sum(turn.role == "assistant" for turn in conversation)
        try:
            parse_reply(reply.text, number, box_scale=self.box_scale(conversation[0].views[0]))
        except ReplyError:
            return False
        return True

    async def _failed(self, error: RequestError | CompletionError | Waiting) -> Reply:
        """Return the reply of a picture whose request failed; BackendError when the server answers nothing else."""
        if isinstance(error, Waiting):
            return Reply("", finish="waiting", failure=str(error))
        if isinstance(error, RequestError):
            if error.hopeless:
                raise error
            if error.temporary and not await self._alive():
                raise BackendError(f"{error}; it does not answer other requests either") from error
        return Reply("", failure=str(error))

    async def _alive(self) -> bool:
        """Return whether the server answers a short text."""
        messages = [{"role": "user", "content": "Reply with one word."}]
        body = {"model": self.name, "messages": messages, self.abilities.limit: 16}
        try:
            await self.server.post(PATH, lambda: body, attempts=1)
        except RequestError as error:
            return not error.temporary
        return True

    def request(
        self,
        conversation: Conversation,
        sampling: Sampling,
        prefix: str = "",
        *,
        seed: int | None = None,
        schema: dict[str, Any] | None = None,
        last: str = "",
    ) -> dict[str, Any]:
        """Return the JSON object of a request.

        Args:
            prefix: beginning of the reply that is forced.
            seed: seed instead of that of `sampling`.
            schema: JSON schema that the reply is held to.
            last: text behind the conversation's.
        """
        messages = [
            {"role": turn.role, "content": turn.text if turn.role == "assistant" else self._content(turn.parts())}
            for turn in conversation
        ]
        values = _parameters(sampling, sampling.seed if seed is None else seed)
        body = {"model": self.name, "messages": messages, **self.abilities.parameters(sampling.max_tokens, values)}
        if last:
            messages[-1]["content"] = [*messages[-1]["content"], {"type": "text", "text": last}]
        if prefix:
            messages.append({"role": "assistant", "content": prefix})
            body |= CONTINUE
        return body | (response_format(schema) if schema else {})

    def _content(self, parts: Sequence[str | View]) -> list[dict[str, Any]]:
        return [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": "image_url", "image_url": {"url": self._data_url(part)}}
            for part in parts
        ]

    def _data_url(self, view: View) -> str:
        return data_url(Image.fromarray(view.shown(self.long_side)))


def _parameters(sampling: Sampling, seed: int) -> dict[str, Any]:
    """Return the sampling parameters of a request, without the limit."""
    values = {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": seed}
    return values | ({"top_k": sampling.top_k} if sampling.top_k else {})  # 0 is all tokens, see `NEUTRAL`


def _number(text: str) -> str:
    """Return the number behind `"rating":`, else the one that the text begins with, else the text."""
    key = RATING_KEY.search(text)
    match = re.match(r'\s*"?(\d+(?:\.\d+)?)', text[key.end() :] if key else text)
    return match[1] if match else text
