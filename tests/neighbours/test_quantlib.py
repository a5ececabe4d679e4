"""A portfolio priced with QuantLib in a handler, as HTC-Grid has it, while workers die."""

from __future__ import annotations

import math
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import LocalCluster, Pymonik, Task
from pymonik.cli import main

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 300
WORKER = [sys.executable, "-m", "pymonik.worker"]

EUROPEAN = """
import QuantLib as ql

def price(trade):
    today = ql.Date(15, 6, 2026)
    ql.Settings.instance().evaluationDate = today
    count = ql.Actual365Fixed()
    spot = ql.QuoteHandle(ql.SimpleQuote(trade["underlying"]))
    flat = lambda rate: ql.YieldTermStructureHandle(ql.FlatForward(today, rate, count))
    volatility = ql.BlackVolTermStructureHandle(
        ql.BlackConstantVol(today, ql.TARGET(), trade["volatility"], count))
    process = ql.BlackScholesMertonProcess(
        spot, flat(trade["dividendYield"]), flat(trade["riskFreeRate"]), volatility)
    kind = ql.Option.Call if trade["kind"] == "call" else ql.Option.Put
    option = ql.VanillaOption(ql.PlainVanillaPayoff(kind, trade["payoff"]),
                              ql.EuropeanExercise(today + trade["days"]))
    option.setPricingEngine(ql.AnalyticEuropeanEngine(process))
    return option.NPV()
"""
ENGINE = """
import os
import european

def lambda_handler(event, context):
    context.pymonik.report(pid=os.getpid())
    return {"results": [european.price(trade) for trade in event["portfolio"]]}
"""


def trades(count: int) -> list[dict[str, Any]]:
    return [
        {
            "kind": ("call", "put")[n % 2],
            "days": 90 + 31 * n,
            "payoff": 80.0 + n % 40,
            "underlying": 100.0,
            "dividendYield": 0.01 * (n % 3),
            "volatility": 0.1 + 0.01 * (n % 20),
            "riskFreeRate": 0.05,
        }
        for n in range(count)
    ]


def closed_form(trade: dict[str, Any]) -> Any:
    """Black, Scholes and Merton."""
    years, spot, strike, v = (
        trade["days"] / 365,
        trade["underlying"],
        trade["payoff"],
        trade["volatility"],
    )
    forward = spot * math.exp((trade["riskFreeRate"] - trade["dividendYield"]) * years)
    d1 = (math.log(forward / strike) + v * v / 2 * years) / (v * math.sqrt(years))
    d2 = d1 - v * math.sqrt(years)
    sign = 1 if trade["kind"] == "call" else -1

    def below(x: float) -> float:
        return (1 + math.erf(x / math.sqrt(2))) / 2

    undiscounted = sign * (forward * below(sign * d1) - strike * below(sign * d2))
    return undiscounted * math.exp(-trade["riskFreeRate"] * years)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("app")
    (folder / "european.py").write_text(EUROPEAN)
    (folder / "portfolio_pricing_engine.py").write_text(ENGINE)
    target = folder.with_name("lambda.zip")
    assert main(["bundle", str(folder), "--package", "QuantLib", "-o", str(target)]) == 0
    return target


@pytest.mark.slow
@pytest.mark.parametrize("worker", [None, WORKER], ids=["embedded", "worker"])
def test_a_portfolio_has_the_values_of_the_closed_form_whoever_dies(
    bundle: Path, worker: list[str] | None
) -> None:
    pricing = Task.from_lambda(
        bundle, "portfolio_pricing_engine.lambda_handler", max_retries=5, max_duration=WAIT_S
    )
    book = trades(400)
    parts = [book[n : n + 10] for n in range(0, len(book), 10)]
    with LocalCluster(workers=2, worker=worker) as cluster, Pymonik(cluster) as client:
        run = pricing.map_invoke([{"portfolio": part} for part in parts], client, chunk_size=1)
        killed: set[int] = set()
        for number in (5, 20, 30):
            run[number].wait(WAIT_S)
            for handle in run:
                pid = handle.record.get("pid") if not handle.done() else None
                if pid is not None and pid not in killed:
                    killed.add(pid)
                    os.kill(pid, signal.SIGKILL)
                    break
        prices = [price for answer in run.get(WAIT_S) for price in answer["results"]]
        stages = run.stages()
        assert len(run.summary()["finished"]) == len(parts)
    assert prices == pytest.approx([closed_form(trade) for trade in book], rel=1e-9, abs=1e-9)
    assert len(stages.to_pandas()) == len(parts)
