"""What is asked of an SDK, and what its answer means for the run.

`request` writes the body, `read` sorts the answer, `decide` makes the plan. What comes by another
way than an answer to a call ends in a plan, too: a checkpoint, the end of a wait, a time-out.
"""
