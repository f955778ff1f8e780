"""Runs the rows over each peer in turn, round after round, so that what disturbs a machine for a while disturbs all alike."""
import sys
import time

from mounts import Place
from processes import Failed, in_child


class Results:
    """rates[peer][row] and memory[peer][row], one entry per round; failures say what is missing and why."""

    def __init__(self):
        self.rates, self.memory, self.processor, self.failures = {}, {}, {}, []

    def add(self, place, row, rate, processor_seconds):
        peer = place.peer.name
        self.rates.setdefault(peer, {}).setdefault(row, []).append(rate)
        self.processor.setdefault(peer, {}).setdefault(row, []).append(processor_seconds)
        if place.daemon:
            self.memory.setdefault(peer, {}).setdefault(row, []).append(place.memory_kib())

    def as_json(self):
        return {"rates": self.rates, "memory_kib": self.memory, "processor_seconds": self.processor, "failures": self.failures}


class Runner:
    def __init__(self, disk, drops_caches, scratch, sizes, scenes, rounds, minutes):
        self._disk, self._drops_caches, self._scratch = disk, drops_caches, scratch
        self._sizes, self._scenes, self._rounds = sizes, scenes, rounds
        self._end = time.monotonic() + minutes * 60
        self.results = Results()

    def run(self, peers, slow):
        """`slow`: names of peers that get one round, after all others."""
        turns = [(turn, peer) for turn in range(self._rounds) for peer in peers if peer.name not in slow]
        turns += [(0, peer) for peer in peers if peer.name in slow]
        took = {}
        for turn, peer in turns:
            start = time.monotonic()
            if start + took.get(peer.name, 0) > self._end:
                self._failed(f"{peer.name}: no time left for round {turn + 1}")
                continue
            print(f"bench: round {turn + 1} of {self._rounds}: {peer.name}", file=sys.stderr, flush=True)
            self._visit(peer, turn, 1 if peer.name in slow else self._rounds)
            took[peer.name] = time.monotonic() - start

    def _visit(self, peer, turn, rounds):
        try:
            with Place(peer, self._disk, self._drops_caches) as place:
                place.sizes, place.scratch = self._sizes, self._scratch
                for scene in self._scenes:
                    if turn == 0 or not scene.once:
                        self._play(place, scene, rounds)
        except Failed as failure:
            self._failed(f"{peer.name}: {failure}")

    def _play(self, place, scene, rounds):
        for step in scene.steps:
            for _ in range(rounds if scene.once and step.row else 1):
                try:
                    self._take(place, step)
                except Failed as failure:
                    self._failed(f"{place.peer.name}: {step.row or step.run.__name__}: {failure}")
                    return

    def _take(self, place, step):
        if time.monotonic() > self._end:
            raise Failed("no time left")
        if step.cold:
            place.make_cold()
        place.forget_peak()
        processor = place.processor_seconds()
        rate = in_child(lambda: step.run(place), self._sizes.limit_seconds + 10, place.abort)
        if step.row:
            self.results.add(place, step.row, rate, place.processor_seconds() - processor)

    def _failed(self, text):
        print(f"bench: {text}", file=sys.stderr, flush=True)
        self.results.failures.append(text)
