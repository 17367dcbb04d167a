"""Are easy and hard examples shared, beyond what class mix and luck give? Arrays in, numbers out; numpy only."""
