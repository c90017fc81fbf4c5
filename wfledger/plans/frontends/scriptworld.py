"""What a script finds in its world, as JavaScript: a function of its arguments and its budget.

It yields the one function through which the script is run and asked. It is evaluated before any
line of the script is, and takes everything that it rests on while that is still itself.
"""

from typing import Final

WORLD: Final = r"""
((argsText, totalText) => {
  "use strict";
  const { parse, stringify } = JSON;
  const { isArray } = Array;
  const { freeze, keys, defineProperty, create } = Object;
  const Later = Promise;
  const all = Later.all.bind(Later);
  const Failure = Error, Wrong = TypeError, Kinds = WeakMap, text = String;
  const kindOf = Kinds.prototype.get, setKind = Kinds.prototype.set;
  const most = 1000;

  const kinds = new Kinds();
  const open = create(null);
  let tickets = 0, calls = [], said = [], now = "", spent = 0, ending = null;
  const total = parse(totalText);

  const failure = (kind, message) => {
    const error = new Failure(message);
    error.kind = kind;
    setKind.call(kinds, error, kind);
    return error;
  };
  const kind = (error) =>
    (error !== null && typeof error === "object" && kindOf.call(kinds, error)) || "script";
  const why = (error) => {
    if (error === null) return "null, which is thrown where memory is used up, too (32 MiB)";
    try { return text(error instanceof Failure ? error.message : error); } catch { return "?"; }
  };
  // A task that was called off, and a result that is not what was asked for, end everything.
  const ends = (error) => kind(error) === "cancelled" || kind(error) === "schema";
  const say = (line) => { if (said.length < most) said[said.length] = line; };

  const task = async (options) => {
    const given = typeof options === "string" ? { prompt: options } : options;
    if (given === null || typeof given !== "object" || isArray(given)) {
      throw new Wrong("task(): takes a prompt, or an object of options");
    }
    for (const name of keys(given)) {
      if (typeof given[name] === "function" || typeof given[name] === "symbol") {
        throw new Wrong(`task(): ${name} is no value`);
      }
    }
    const ticket = ++tickets;
    calls[calls.length] = [ticket, stringify(given), now];
    return await new Later((resolve, reject) => { open[ticket] = [resolve, reject]; });
  };

  const bounded = (name, list) => {
    if (!isArray(list)) throw new Wrong(`${name}(): takes a list`);
    if (list.length > most) {
      throw new Failure(`${name}(): ${list.length} items; at most ${most} in one call`);
    }
  };
  const empty = (name, slot, error) => {
    if (ends(error)) throw error;
    say(`${name}(): slot ${slot} failed (${kind(error)}): ${why(error)}`);
    return null;
  };
  const start = async (one) => (typeof one === "function" ? one() : one);
  const slots = (list, each) => {
    const made = [];
    for (let at = 0; at < list.length; at++) made[at] = each(list[at], at);
    return all(made);
  };

  const parallel = async (list, ...more) => {
    bounded("parallel", list);
    if (more.length) throw new Wrong("parallel(): takes one list");
    return await slots(list, async (one, at) => {
      try { return await start(one); } catch (error) { return empty("parallel", at, error); }
    });
  };

  const pipeline = async (items, ...stages) => {
    bounded("pipeline", items);
    for (const stage of stages) {
      if (typeof stage !== "function") throw new Wrong("pipeline(): a stage is a function");
    }
    return await slots(items, async (item, at) => {
      let value = item;
      try {
        for (let n = 0; n < stages.length; n++) value = await stages[n](value, item, at);
        return value;
      } catch (error) { return empty("pipeline", at, error); }
    });
  };

  const log = (line) => {
    say(typeof line === "string" ? line : stringify(line) ?? text(line));
  };
  const phase = (title) => { now = text(title); say(`phase: ${now}`); };
  const budget = freeze({
    total,
    spent: () => spent,
    remaining: () => (total === null ? Infinity : total > spent ? total - spent : 0),
  });

  const no = (name) => () => {
    throw new Failure(
      `${name} is not there: a script is run again from its start, and must do the same each time`
    );
  };
  const Never = function Date() { no("Date")(); };
  Never.now = no("Date.now()");
  Never.parse = no("Date.parse()");
  Never.UTC = no("Date.UTC()");
  Math.random = no("Math.random()");
  for (const name of ["__date_clock", "SharedArrayBuffer", "Atomics", "WeakRef",
                      "FinalizationRegistry", "performance"]) {
    delete globalThis[name];
  }
  const world = {
    Date: Never, args: parse(argsText), task, parallel, pipeline, log, phase, budget,
  };
  for (const name of keys(world)) {
    defineProperty(globalThis, name, { value: world[name], enumerable: true });
  }

  const asked = {
    run: async (main) => {
      try {
        ending = { state: "returned", value: stringify(await main()) ?? "null" };
      } catch (error) {
        const stack = error !== null && typeof error === "object" && error.stack;
        ending = { state: "threw", message: why(error), stack: text(stack || "") };
      }
    },
    calls: () => { const found = calls; calls = []; return stringify(found); },
    settle: (given) => {
      const { ticket, value, failed, message, used } = parse(given);
      const [resolve, reject] = open[ticket];
      delete open[ticket];
      spent += used;
      if (failed === null) resolve(value); else reject(failure(failed, message));
    },
    ending: () => stringify({ ending, said, phase: now }),
  };
  return (what, given) => asked[what](given);
})
"""
