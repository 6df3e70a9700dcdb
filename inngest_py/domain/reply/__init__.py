"""What the server asks of an SDK, and what the answer means for the run.

`request` writes the body, `read` classifies the answer, `decide` makes the plan. Gateway answers,
ends of waits and time-outs become plans too, checkpoints become results: each in its own module.
"""
