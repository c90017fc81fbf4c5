"""What a worker could plant in the shared git directory, each with a canary of its own.

A planted command touches a file named after what called it. Whoever runs git with that configuration
finds the file there; the supervisor never does.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

#: In a worker: `$C` is the shared git directory, `$X NAME` prints the path of a program that
#: touches the canary NAME and answers nothing.
PRELUDE: Final = """set -e
C="$(cd "$(git rev-parse --git-common-dir)" && pwd)"
X() {
  printf '#!/bin/sh\\ntouch "%s/%s"\\nexec cat\\n' "$CANARIES" "$1" > "$CANARIES/bin/$1"
  chmod +x "$CANARIES/bin/$1"
  printf %s "$CANARIES/bin/$1"
}
"""

#: Name of the canary -> the lines that plant it.
CONFIGURATION: Final[Mapping[str, str]] = {
    "core.fsmonitor": 'git config core.fsmonitor "$(X core.fsmonitor)"',
    "core.sshCommand": 'git config core.sshCommand "$(X core.sshCommand)"',
    "core.editor": 'git config core.editor "$(X core.editor)"',
    "core.pager": 'git config core.pager "$(X core.pager)"',
    "pager.diff": 'git config pager.diff "$(X pager.diff)"',
    "core.gitProxy": 'git config core.gitProxy "$(X core.gitProxy)"',
    "core.askPass": 'git config core.askPass "$(X core.askPass)"',
    "core.alternateRefsCommand": 'git config core.alternateRefsCommand "$(X alternateRefsCommand)"',
    "credential.helper": 'git config credential.helper "!$(X credential.helper)"',
    "diff.external": 'git config diff.external "$(X diff.external)"',
    "diff.command": 'git config diff.evil.command "$(X diff.command)"',
    "diff.textconv": 'git config diff.evil.textconv "$(X diff.textconv)"',
    "interactive.diffFilter": 'git config interactive.diffFilter "$(X diffFilter)"',
    "filter.clean": 'git config filter.evil.clean "$(X filter.clean)"',
    "filter.smudge": 'git config filter.evil.smudge "$(X filter.smudge)"',
    "filter.process": 'git config filter.evil2.process "$(X filter.process)"',
    "merge.driver": 'git config merge.evil.driver "$(X merge.driver) %A"',
    "merge.default": "git config merge.default evil",
    "mergetool.cmd": 'git config merge.tool e; git config mergetool.e.cmd "$(X mergetool.cmd)"',
    "gpg.program": 'git config gpg.program "$(X gpg.program)"; git config commit.gpgSign true;'
                   " git config tag.gpgSign true; git config log.showSignature true",
    "gpg.ssh.program": 'git config gpg.ssh.program "$(X gpg.ssh.program)"',
    "alias": 'for a in read-tree add diff-index update-ref worktree config for-each-ref status'
             ' merge reset; do git config "alias.$a" "!$(X alias)"; done',
    "sequence.editor": 'git config sequence.editor "$(X sequence.editor)"',
    "remote.uploadpack": 'git config remote.origin.url "$C"; '
                         'git config remote.origin.uploadpack "$(X remote.uploadpack)"; '
                         'git config remote.origin.receivepack "$(X remote.receivepack)"',
    "remote.vcs": 'git config remote.evil.vcs "ext::$(X remote.vcs)"',
    "url.insteadOf": 'git config "url.ext::$(X url.insteadOf) .insteadOf" "$C"',
    "protocol.ext.allow": "git config protocol.ext.allow always",
    "include.path": 'printf "[core]\\n\\tfsmonitor = %s\\n" "$(X include.path)" '
                    '> "$CANARIES/included"; git config include.path "$CANARIES/included"',
    "includeIf": 'git config "includeIf.gitdir:**.path" "$CANARIES/included"',
    "submodule.update": 'git config submodule.evil.update "!$(X submodule.update)"; '
                        "git config submodule.recurse true",
    "trailer.command": 'git config trailer.evil.command "$(X trailer.command)"; '
                       'git config trailer.evil.cmd "$(X trailer.cmd)"',
    "uploadpack.packObjectsHook": 'git config uploadpack.packObjectsHook "$(X packObjectsHook)"',
    "hook.command": 'for e in post-checkout reference-transaction post-index-change; do '
                    'git config hook.evil.event "$e" && git config hook.evil.command '
                    '"$(X hook.command)"; done',
    "core.hooksPath": 'mkdir -p "$CANARIES/hooks"; for h in post-checkout pre-commit post-commit '
                      "reference-transaction post-index-change post-merge pre-auto-gc; do "
                      'cp "$(X core.hooksPath)" "$CANARIES/hooks/$h"; done; '
                      'git config core.hooksPath "$CANARIES/hooks"',
    "core.attributesFile": 'echo "* filter=evil diff=evil merge=evil" > "$CANARIES/attributes"; '
                           'git config core.attributesFile "$CANARIES/attributes"',
    "lfs.customtransfer": 'git config lfs.customtransfer.e.path "$(X lfs.customtransfer)"; '
                          'git config lfs.extension.e.clean "$(X lfs.extension)"',
}  # fmt: skip

FILES: Final[Mapping[str, str]] = {
    "hooks": "for h in post-checkout pre-commit post-commit reference-transaction "
             "post-index-change post-merge pre-auto-gc pre-push fsmonitor-watchman; do "
             'cp "$(X hooks)" "$C/hooks/$h"; done',
    "sample hooks": 'for h in "$C"/hooks/*.sample; do cp "$(X sample)" "$h"; done',
    "info/attributes": 'echo "* filter=evil diff=evil merge=evil" > "$C/info/attributes"; '
                       'git config filter.evil.clean "$(X attributes.clean)"; '
                       'git config filter.evil.smudge "$(X attributes.smudge)"; '
                       'git config diff.evil.textconv "$(X attributes.textconv)"; '
                       'git config merge.evil.driver "$(X attributes.driver) %A"',
    "info/exclude": 'echo "src/*" >> "$C/info/exclude"',
    "info/grafts": 'git rev-parse HEAD > "$C/info/grafts"',
    "objects/info/alternates": 'git init -q "$CANARIES/other"; '
                               'echo "$CANARIES/other/.git/objects" > "$C/objects/info/alternates"',
    "config.worktree": 'printf "[core]\\n\\tfsmonitor = %s\\n" "$(X config.worktree)" '
                       '> "$C/config.worktree"',
    "commondir": 'git init -q "$CANARIES/common"; git -C "$CANARIES/common" config core.fsmonitor '
                 '"$(X commondir)"; echo "$CANARIES/common/.git" > "$C/commondir"',
    "commondir of the ledger": 'git init -q "$CANARIES/led"; git -C "$CANARIES/led" config '
                               'core.fsmonitor "$(X led)"; for e in "$C"/worktrees/*; do '
                               'case "$(cat "$e/gitdir")" in *"/.wfledger/.git") '
                               'echo "$CANARIES/led/.git" > "$e/commondir";; esac; done',
    "gitdir of the ledger": 'for e in "$C"/worktrees/*; do case "$(cat "$e/gitdir")" in '
                            '*"/.wfledger/.git") echo "$CANARIES/x/.git" > "$e/gitdir";; esac; done',
    "unreadable config": 'echo "[broken" >> "$C/config"',
    "fleet.toml": 'printf "[worktree]\\nsetup = \\"%s\\"\\n" "$(X setup)" > "$WFLEDGER_DIR/fleet.toml"',
    "ledger.json": 'sed "s|\\"schema\\"|\\"policy\\": {\\"gate\\": {\\"command\\": \\"$(X gate)\\"}}, &|" '
                   '"$WFLEDGER_DIR/ledger.json" > "$CANARIES/l"; '
                   'cp "$CANARIES/l" "$WFLEDGER_DIR/ledger.json"',
    "unreadable fleet.toml": 'echo "[broken" >> "$WFLEDGER_DIR/fleet.toml"',
    "unreadable ledger.json": 'echo "{" > "$WFLEDGER_DIR/ledger.json"',
}  # fmt: skip

#: What a worker plants in its own worktree; no alarm, since nobody else is led there.
OWN: Final[Mapping[str, str]] = {
    "extensions.worktreeConfig": "git config extensions.worktreeConfig true; "
                                 'git config --worktree core.fsmonitor "$(X worktreeConfig)"',
    ".git file": 'git init -q "$CANARIES/mine"; git -C "$CANARIES/mine" config core.fsmonitor '
                 '"$(X gitfile)"; echo "gitdir: $CANARIES/mine/.git" > .git',
    "own commondir": 'E="$(git rev-parse --git-dir)"; git init -q "$CANARIES/own"; git -C '
                     '"$CANARIES/own" config core.fsmonitor "$(X owncommon)"; '
                     'echo "$CANARIES/own/.git" > "$E/commondir"',
    "own config.worktree": 'E="$(git rev-parse --git-dir)"; printf "[core]\\n\\tfsmonitor = %s\\n" '
                           '"$(X ownconfig)" > "$E/config.worktree"',
    ".gitattributes": 'echo "* filter=evil diff=evil merge=evil" > src/.gitattributes',
}  # fmt: skip

#: Refs of wfledger's that a worker moves.
REFS: Final[Mapping[str, str]] = {
    "run branch forward": 'git commit -q --allow-empty -m evil; git update-ref "$BRANCH" HEAD',
    "run branch deleted": 'git update-ref -d "$BRANCH"',
    "ledger forward": 'git update-ref refs/heads/wfledger "$(git commit-tree -p '
                      'refs/heads/wfledger -m evil "refs/heads/wfledger^{tree}")"',
    "ledger deleted": "git update-ref -d refs/heads/wfledger",
    "pin deleted": "git update-ref -d refs/wfledger/ledger",
}  # fmt: skip


def canaries(folder: Path) -> Path:
    """Make the folder that canaries appear in, and return it."""
    folder.joinpath("bin").mkdir(parents=True)
    return folder


def touched(folder: Path) -> list[str]:
    """Return the canaries that somebody has touched: what was planted has run."""
    made = {path.name for path in folder.joinpath("bin").iterdir()}
    return sorted(made & {path.name for path in folder.iterdir() if path.is_file()})


def planting(lines: str, folder: Path) -> str:
    """Return the shell line of a worker that plants *lines*; git is told to run nothing of it."""
    quiet = "export GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0=core.fsmonitor GIT_CONFIG_VALUE_0=false "
    quiet += "GIT_CONFIG_KEY_1=core.hooksPath GIT_CONFIG_VALUE_1=/dev/null\n"
    return f"export CANARIES={folder}\n{quiet}{PRELUDE}{lines}\n"
