"""One adapter for each peer: its class is `Adapter`, see `benchmarks.peer.Peer`."""
