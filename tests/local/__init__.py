"""Tests of the local Slack, embedded AWS and the commands around them."""
