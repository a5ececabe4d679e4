"""One adapter for each peer: module `Adapter`, see `benchmarks.peer.Peer`."""
