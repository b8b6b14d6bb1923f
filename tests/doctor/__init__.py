"""Tests of `make doctor` and `make secret` over real connections, one test per defect."""
