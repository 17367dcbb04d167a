"""Callbacks that record trainings of other libraries, each on `easiness.Recorder`."""
