"""A service of one's own with FastAPI: two photographs in, the decision and its reasons out.

pip install fastapi 'xcos[serve]'
uvicorn examples.service:app          then: curl -F a=@a.jpg -F b=@b.jpg http://127.0.0.1:8000/verify

`xcos serve` has all this already, with limits, a queue and a page (docs/serve.md); here it is one endpoint among
others.
Who may ask, and over which connection, is for what stands before it to say.
"""

from typing import Annotated, Any

from fastapi import FastAPI, File, HTTPException

import xcos

LARGEST = 16 * 2**20  # bytes of one photograph

app = FastAPI(title="Do two photographs show one person?")
model = xcos.load()


@app.post("/verify")
def verify(a: Annotated[bytes, File()], b: Annotated[bytes, File()]) -> dict[str, Any]:
    """The decision about two photographs. No `async`: FastAPI runs it in a thread, and the core holds no lock."""
    if max(len(a), len(b)) > LARGEST:
        raise HTTPException(413, f"a photograph has at most {LARGEST} bytes here")
    try:
        e = model.explain(a, b, max_pixels=50_000_000)
    except xcos.XcosError as error:  # no picture, no face: one sentence
        raise HTTPException(422, str(error)) from None
    answer = "no answer" if not e.reliable else "same person" if e.same else "different people"
    return {"answer": answer, "score": e.score, "threshold": e.threshold, "worth": e.worth(),
            "contribution": e.contribution.tolist(), "whole": e.whole}  # fmt: skip
