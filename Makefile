# Every target is one or two commands that work by hand too; the work is in scripts/ and
# in the service's own sub-commands.

.DEFAULT_GOAL := help
# Recipes run in the order asked for: `make -j fmt lint` would otherwise race.
.NOTPARALLEL:

# A project that `nix flake new` has made has lost its executable bits.
$(if $(shell [ -x scripts/dev ] || echo lost),$(shell bash scripts/executable))

SERVICE := cargo run -q --

# Of these only what is said after `make` counts: in the environment they are set for other purposes, and with YES there
# `make db-destroy` would not ask.
ARGUMENTS := NAME FIELDS SINGULAR DESTROY FEATURE STEP WITHOUT VERSION FROM BASE OWNER LICENSE YES N EMAIL ROLE HOURS URL SCENARIO
$(foreach name,$(ARGUMENTS),$(if $(filter environment,$(origin $(name))),$(eval $(name) :=)))

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Everyday work

.PHONY: dev test lint fmt setup
dev: ## database, migrations and service, rebuilt on change where a watcher is installed
	@scripts/dev

test: ## every test; ARGS="--test api sessions" picks some
	@scripts/test $(ARGS)

lint: ## formatting, clippy and shellcheck
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@if command -v shellcheck >/dev/null; then set -x; shellcheck scripts/* tests/scripts/* .ci/run; \
	else echo 'SKIPPED: shellcheck is not installed, so the scripts were not looked at' >&2; fi

fmt: ## format the Rust code
	cargo fmt --all

setup: ## check tools and settings, write .env, install the commit hook
	@scripts/setup

# The private PostgreSQL of this checkout

.PHONY: db-start db-stop db-restart db-logs db-status db-destroy
db-start: ## start the private PostgreSQL, creating it if needed
	@scripts/postgres start

db-stop: ## stop it
	@scripts/postgres stop

db-restart: ## stop and start it
	@scripts/postgres restart

db-logs: ## follow its log
	@scripts/postgres logs

db-status: ## say whether it runs
	@scripts/postgres status

db-destroy: ## delete it with all its data, after asking; YES=1 does not ask
	@scripts/postgres destroy $(if $(YES),--yes)

# Migrations

.PHONY: migrate migrate-create migrate-downgrade
migrate: ready ## apply pending migrations
	@$(SERVICE) migrate up

migrate-create: ## write a new pair of migration files: NAME=add_notes
	@$(if $(NAME),,$(error NAME is missing: make migrate-create NAME=add_notes))$(SERVICE) migrate create "$(NAME)"

migrate-downgrade: ready ## undo the last migration, or the last N=2
	@$(SERVICE) migrate down $(N)

# Tokens for trying things out: a real session of a development user

.PHONY: token token-admin
token: schema ## print a token; EMAIL=dev@example.com ROLE=MEMBER HOURS=24
	@$(SERVICE) token $(if $(EMAIL),--email "$(EMAIL)") $(if $(ROLE),--role "$(ROLE)") $(if $(HOURS),--hours "$(HOURS)")

token-admin: schema ## print an administrator's token; EMAIL=admin@example.com HOURS=24
	@$(SERVICE) token --email "$(or $(EMAIL),admin@example.com)" --role ADMIN $(if $(HOURS),--hours "$(HOURS)")

# Known attacks, tried

.PHONY: attack
attack: ## try the known attacks and print what was expected and seen; ARGS="t12" picks some
	@scripts/attack $(ARGS)

# What the targets above need on a fresh clone

.PHONY: ready schema
ready:
	@scripts/setup tools
	@scripts/setup env

schema: ready
	@scripts/setup schema

# A local trace viewer

.PHONY: jaeger-start jaeger-stop jaeger-logs
jaeger-start: ## start Jaeger: from PATH, in a container, or the pinned release
	@scripts/jaeger start

jaeger-stop: ## stop it
	@scripts/jaeger stop

jaeger-logs: ## follow its log
	@scripts/jaeger logs

# Load, by k6

.PHONY: loadtest loadtest-url
loadtest: ## run a k6 scenario against the running service: SCENARIO=load VUS=50 DURATION=10s
	@scripts/loadtest $(or $(SCENARIO),smoke)

loadtest-url: ## the same against a service elsewhere: URL=https://example.com SCENARIO=smoke
	@$(if $(URL),,$(error URL is missing: make loadtest-url URL=https://example.com))scripts/loadtest $(or $(SCENARIO),smoke) "$(URL)"

# How close to the machine's limits

.PHONY: bench
bench: ## compare with a bare server and write down the result; ARGS=--quick takes two minutes
	@loadtest/bench/compare $(ARGS)

# A fresh copy becomes yours.

.PHONY: init
init: ## give a fresh copy its own name: NAME=acme-orders OWNER=acme LICENSE=MIT WITHOUT="<features>"
	@$(if $(NAME),,$(error NAME is missing: make init NAME=acme-orders))scripts/setup tools
	@cargo run -q --locked -p xtask -- init "$(NAME)" \
	  $(if $(OWNER),--owner "$(OWNER)") $(if $(LICENSE),--license "$(LICENSE)") \
	  $(foreach name,$(WITHOUT),--without '$(name)')
	@$(if $(WITHOUT),scripts/references)

.PHONY: upgrade
upgrade: ## take over a newer skeleton: VERSION=<tag or revision>; FROM=<address>, BASE=<revision> where they are not known
	@cargo run -q --locked -p xtask -- upgrade $(if $(VERSION),'$(VERSION)') \
	  $(if $(FROM),--from '$(FROM)') $(if $(BASE),--base '$(BASE)')

# A new feature, in the style of the others, and what belongs to one

.PHONY: feature remove
feature: ## write a feature: NAME=notes FIELDS="title:text! body:text? pinned:bool"; DESTROY=1 takes it back
	@$(if $(NAME),,$(error NAME is missing: make feature NAME=notes FIELDS="title:text! body:text? pinned:bool"))\
	cargo run -q --locked -p xtask -- $(if $(DESTROY),destroy '$(NAME)',feature '$(NAME)' \
	$(foreach field,$(FIELDS),'$(field)') $(if $(SINGULAR),--singular '$(SINGULAR)'))

# jobs: begin
.PHONY: job
job: ## write a kind of job of a feature, with its test: NAME=notes.remind
	@$(if $(NAME),,$(error NAME is missing: make job NAME=notes.remind))\
	cargo run -q --locked -p xtask -- job '$(NAME)'
# jobs: end

remove: ## remove a feature: FEATURE=<name>; STEP=drop, with a later release, drops the tables that it left
	@$(if $(FEATURE),,$(error FEATURE is missing: make remove FEATURE=<name>; docs/reference/features.md lists them))\
	$(if $(STEP),$(if $(filter drop,$(STEP)),,$(error STEP=$(STEP) is unknown: there is STEP=drop)))\
	cargo run -q --locked -p xtask -- remove $(if $(STEP),--drop) $(foreach name,$(FEATURE),'$(name)')
	@$(if $(STEP),,scripts/references)
