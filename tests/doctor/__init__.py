"""The doctor against real connections, with each thing amiss that it must name."""
