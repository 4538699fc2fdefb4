# SPDX-License-Identifier: Apache-2.0
#
# Every target is a script; make is a convenience.

PREFIX ?= /usr/local
DESTDIR ?=

.DEFAULT_GOAL := docs
.PHONY: build docs demo test test-all check install uninstall package coverage faults benchmark clean

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

# Builds nothing: what is installed as root was built as somebody else (make docs).
install:
	PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/install

uninstall:
	PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/install --remove

package:
	scripts/package

clean:
	scripts/clean
