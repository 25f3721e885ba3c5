"""How soon a lone message is delivered: from the reply to its final dot to the receiver's.

`python -m benchmarks.latency [--count 300]`. One message at a time on an idle service, with a pause
between them; the clocks are one, because source, service and sink are on one machine.
"""

from __future__ import annotations

import argparse
import json
import smtplib
import tempfile
import time
from pathlib import Path

from benchmarks.delivery import RESULTS, RSA, Sink
from benchmarks.engine import Engine
from benchmarks.source import Load


def measure(count: int, pause: float) -> dict[str, float]:
    """Send so many messages one by one; return percentiles of both waits, in milliseconds."""
    sink = Sink()
    load = Load(0, count, 10_240, 1)
    accepts = []
    with tempfile.TemporaryDirectory(prefix="mailwright-bench-") as directory:
        engine = Engine(Path(directory), sink=sink.port, algorithms=[RSA])
        try:
            port = engine.start()
            time.sleep(1)
            with smtplib.SMTP("127.0.0.1", port) as client:
                for number in range(count):
                    time.sleep(pause)
                    body = load.message(number).removesuffix(b".\r\n")
                    started = time.perf_counter()
                    client.sendmail("app@sender.test", [f"r{number}@dest.test"], body)
                    accepts.append((time.perf_counter() - started) * 1000)
            arrived = sink.wait_for(count, 30)
        finally:
            engine.stop()
            sink.close()
    accepts.sort()
    return {
        "accept_p50_ms": round(accepts[count // 2], 2),
        "accept_p99_ms": round(accepts[int((count - 1) * 0.99)], 2),
        "delivered_p50_ms": arrived["delivered_p50_ms"],
        "delivered_p99_ms": arrived["delivered_p99_ms"],
        "lost": count - arrived["unique"],
    }


def main() -> None:
    """Measure, print, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="messages")
    parser.add_argument("--pause", type=float, default=0.03, help="seconds between two")
    options = parser.parse_args()
    figures = measure(options.count, options.pause)
    print("a lone message, from the start of its dialogue; 'delivered' counts from its composition")
    print("  ".join(f"{name} {value:g}" for name, value in figures.items()))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"latency-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
