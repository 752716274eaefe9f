# make run    start everything on this machine        make test   all tests, real services, a real browser
# make check  format, lint, types, contracts, deploy   make lock   choose and pin new versions of all packages
# make mutations   break each rule of the engine in turn and show which test notices (2 minutes)

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/installed

.PHONY: install run test check lock mutations clean

install: $(STAMP)

$(STAMP): requirements.lock
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "Python 3.11 is needed: install python3.11, or say PYTHON=/path/to/it"; exit 1; }
	@# Debian's Python has no ensurepip without python3-venv; then the pip outside fills the environment.
	"$(PYTHON)" -m venv --clear .venv 2>/dev/null || "$(PYTHON)" -m venv --clear --without-pip .venv
	@if [ -x $(BIN)/pip ]; then pip="$(BIN)/python -m pip"; else pip="$(PYTHON) -m pip --python $(BIN)/python"; fi; \
		echo "Installing the packages of requirements.lock"; $$pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $(STAMP)

run: $(STAMP)
	$(BIN)/python manage.py up --demo

test: $(STAMP)
	@sh tests/programs.sh
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=20

# A check of settings needs an https address and throw-away secrets, no database.
check: export PUBLIC_URL := https://console.example
check: export DATA_DIR := .venv/check
check: export DATABASE_URL := postgresql://nobody@127.0.0.1:1/none
check: export REDIS_URL := redis://127.0.0.1:1
check: export SECRET_KEY := only-for-this-check-0123456789-abcdefghijklmnopqrstuvwxyz
check: export ENCRYPTION_KEYS := AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py check_migrations
	$(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py check_templates
	$(BIN)/python manage.py event_types --check
	$(BIN)/python manage.py checks_doc --check

lock: $(STAMP)
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-header \
		--no-emit-trusted-host --extra dev -o requirements.lock pyproject.toml

mutations: $(STAMP)
	$(BIN)/python tests/mutations.py

clean:
	rm -rf .venv
