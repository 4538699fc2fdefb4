# SPDX-License-Identifier: Apache-2.0
#
# Every target is a script; make is a convenience.

PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: demo test test-all check build docs install coverage faults benchmark clean

build:
	scripts/build

docs: build
	scripts/generate-docs

demo:
	scripts/demo

test:
	scripts/test

test-all:
	scripts/test --all

check:
	scripts/check

coverage:
	scripts/coverage

faults:
	scripts/check-faults

benchmark:
	scripts/benchmark

install: docs
	PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/install

clean:
	scripts/clean
