"""Commands and functions with a limit: what takes longer is killed with all its children."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import traceback


class Failed(Exception):
    """Something could not be measured; the text says why."""


def wait_until(condition, seconds):
    """True as soon as the condition is, False if it is not within that time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def command(arguments, seconds=60, **options):
    """Runs a command to its end and returns its standard output."""
    options = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, **options}
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, start_new_session=True, **options)
    try:
        out, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise Failed(f"{arguments[0]} took more than {seconds:.0f} s") from None
    if process.returncode != 0:
        last = (errors or out or "").strip().splitlines()[-1:] or ["it said nothing"]
        raise Failed(f"{arguments[0]}: exit status {process.returncode}: {last[0][:200]}")
    return out


def start_daemon(arguments, log, seconds=60, **options):
    """For commands that leave a process behind, which must not hold a pipe of ours."""
    with open(log, "w", encoding="utf-8") as out:
        try:
            status = subprocess.run(arguments, stdin=options.pop("stdin", subprocess.DEVNULL), stdout=out, stderr=out,
                                    timeout=seconds, check=False, **options).returncode
        except subprocess.TimeoutExpired:
            status = f"none within {seconds:.0f} s"
    if status != 0:
        lines = pathlib.Path(log).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise Failed(f"{arguments[0]}: exit status {status}: {' '.join(lines[-2:])[:300]}")


def in_child(function, seconds, release):
    """The value of function(), from a process of its own. If that process cannot even be killed, release() is called."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        try:
            answer = {"value": function()}
        except Exception as error:  # it has to reach the parent, whatever it is
            answer = {"error": str(error) if isinstance(error, Failed) else traceback.format_exc(limit=-2)}
        os.write(write_end, json.dumps(answer).encode())
        sys.stderr.flush()
        os._exit(0)
    os.close(write_end)
    ended = wait_until(lambda: os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None, seconds)
    try:
        os.killpg(child, signal.SIGKILL)  # what it left behind, too
    except ProcessLookupError:
        pass
    if not ended and not wait_until(lambda: os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT), 5):
        release()
    os.waitpid(child, 0)
    with os.fdopen(read_end, "rb") as answers:
        text = answers.read() if ended else b""
    if not text:
        raise Failed(f"not done within {seconds:.0f} s" if not ended else "the process ended without an answer")
    answer = json.loads(text)
    if "error" in answer:
        raise Failed(answer["error"].strip())
    return answer["value"]


def in_parallel(count, function):
    """function(0) to function(count - 1), each in a process of its own, begun together: seconds until the last ended."""
    read_end, write_end = os.pipe()
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            os.close(write_end)
            os.read(read_end, 1)  # until the parent lets go
            try:
                function(number)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        children.append(child)
    time.sleep(0.05)  # they wait in read() by then; if one does not, it starts late
    start = time.perf_counter()
    os.close(write_end)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    seconds = time.perf_counter() - start
    os.close(read_end)
    if any(statuses):
        raise Failed("one of the parallel processes failed")
    return seconds
