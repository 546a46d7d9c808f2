"""The asynchronous part of the canonical ABI: tasks, threads, waitables, streams and futures of guests."""
