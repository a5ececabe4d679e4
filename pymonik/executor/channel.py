"""What may come over the socket between an executor and its parent."""

from __future__ import annotations

import msgspec

from pymonik.executor.endings import Failed, Retry
from pymonik.executor.frames import (
    AgentReply,
    AgentRequest,
    HandedOver,
    Ready,
    Report,
    Reported,
    Retires,
    Run,
)

Order = Run | HandedOver | AgentReply
Outcome = Report | Failed | Retry
Answer = Ready | Report | Reported | AgentRequest | Failed | Retry | Retires

order_decoder: msgspec.msgpack.Decoder[Order] = msgspec.msgpack.Decoder(Order)
answer_decoder: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)
