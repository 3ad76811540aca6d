/**
 * Takes the queue of performances out of a program where it changes nothing.
 *
 * Theory of operation: a performance waits until the step that asked for it, and all that the step has routed, is done.
 * Where nothing is left to be done but to ask for more performances, and none waits, it may as well begin at once. Each
 * procedure gets a twin for calls of that kind; an `apply` of a twin that never queues is a plain call.
 */

import type { Procedure, Program, Statement, Term } from './program.ts';

/** `program` with fewer performances queued; what its rules do is the same. */
export function direct(program: Program): Program {
  return new Director(program).program();
}

/** A procedure while it is made anew. */
interface Twin {
  readonly procedure: Procedure;
  /** It may leave performances in the queue. */
  queues: boolean;
}

class Director {
  readonly #program: Program;
  readonly #procedures: Procedure[] = [];
  readonly #twins = new Map<string, Twin>();
  readonly #quiet = new Map<Procedure, boolean>();

  constructor(program: Program) {
    this.#program = program;
  }

  program(): Program {
    const rules = this.#program.rules.map((rule) => ({
      ...rule,
      body: this.#block(rule.body, false, true).statements,
    }));
    return { ...this.#program, rules, procedures: this.#procedures };
  }

  /** @param last - nothing but performances is asked for after it, and none waits when it is called */
  #twin(of: Procedure, last: boolean): Twin {
    const key = `${of.number} ${last}`;
    const known = this.#twins.get(key);
    if (known !== undefined) return known;
    const body: Statement[] = [];
    const procedure: Procedure = { ...of, number: this.#procedures.length, body };
    // Until it is known: a procedure that calls itself is asked while it is made.
    const twin: Twin = { procedure, queues: true };
    this.#twins.set(key, twin);
    this.#procedures.push(procedure);
    const made = this.#block(
      reordered(of.body, (statement) => this.#isQuiet(statement)),
      last,
      true,
    );
    body.push(...made.statements);
    twin.queues = !made.empty;
    return twin;
  }

  /** @param empty - nothing waits before it */
  #block(
    statements: readonly Statement[],
    last: boolean,
    empty: boolean,
  ): { readonly statements: readonly Statement[]; readonly empty: boolean } {
    const made: Statement[] = [];
    let nothingWaits = empty;
    for (const [index, statement] of statements.entries()) {
      const isLast = last && statements.slice(index + 1).every((after) => this.#isQuiet(after));
      const one = this.#statement(statement, isLast, nothingWaits);
      made.push(one.statement);
      nothingWaits = one.empty;
    }
    return { statements: made, empty: nothingWaits };
  }

  #statement(
    statement: Statement,
    last: boolean,
    empty: boolean,
  ): { readonly statement: Statement; readonly empty: boolean } {
    switch (statement.do) {
      case 'if': {
        const yes = this.#block(statement.yes, last, empty);
        const no = this.#block(statement.no, last, empty);
        return {
          statement: { ...statement, yes: yes.statements, no: no.statements },
          empty: yes.empty && no.empty,
        };
      }
      case 'switch': {
        const cases = statement.cases.map(({ values, body }) => ({ values, ...this.#block(body, last, empty) }));
        const otherwise = this.#block(statement.otherwise, last, empty);
        return {
          statement: {
            ...statement,
            cases: cases.map(({ values, statements }) => ({ values, body: statements })),
            otherwise: otherwise.statements,
          },
          empty: otherwise.empty && cases.every((one) => one.empty),
        };
      }
      case 'for': {
        // Once around more comes after, whatever comes behind the loop.
        const body = this.#block(statement.body, false, empty);
        const stays = body.empty ? body : this.#block(statement.body, false, false);
        return { statement: { ...statement, body: stays.statements }, empty: body.empty };
      }
      case 'call': {
        const { procedure, queues } = this.#twin(statement.procedure, last && empty);
        return { statement: { ...statement, procedure }, empty: empty && !queues };
      }
      case 'apply': {
        const { procedure, queues } = this.#twin(statement.procedure, true);
        return { statement: { ...statement, do: queues ? 'apply' : 'call', procedure }, empty };
      }
      case 'perform': {
        const { procedure } = this.#twin(statement.procedure, true);
        return last && empty
          ? { statement: { ...statement, do: 'call', procedure }, empty: true }
          : { statement: { ...statement, procedure }, empty: false };
      }
      default:
        return { statement, empty };
    }
  }

  /** Whether a statement does nothing but ask for performances, whatever the state is. */
  #isQuiet(statement: Statement): boolean {
    switch (statement.do) {
      case 'let':
        return !reads(statement.value);
      case 'perform':
        return !statement.args.some(reads);
      case 'if':
        return !reads(statement.test) && [...statement.yes, ...statement.no].every((part) => this.#isQuiet(part));
      case 'call':
        return !statement.args.some(reads) && this.#isQuietProcedure(statement.procedure);
      default:
        return false;
    }
  }

  #isQuietProcedure(procedure: Procedure): boolean {
    const known = this.#quiet.get(procedure);
    if (known !== undefined) return known;
    this.#quiet.set(procedure, false);
    const quiet = procedure.body.every((statement) => this.#isQuiet(statement));
    this.#quiet.set(procedure, quiet);
    return quiet;
  }
}

/** Blocks that end with quiet statements and then assignments: the assignments first. Each block of `statements` too. */
function reordered(statements: readonly Statement[], isQuiet: (statement: Statement) => boolean): readonly Statement[] {
  const inner = statements.map((statement): Statement => {
    switch (statement.do) {
      case 'if':
        return { ...statement, yes: reordered(statement.yes, isQuiet), no: reordered(statement.no, isQuiet) };
      case 'switch':
        return {
          ...statement,
          cases: statement.cases.map(({ values, body }) => ({ values, body: reordered(body, isQuiet) })),
          otherwise: reordered(statement.otherwise, isQuiet),
        };
      default:
        return statement;
    }
  });
  let sets = inner.length;
  while (sets > 0 && inner[sets - 1]!.do === 'set') sets--;
  let quiet = sets;
  while (quiet > 0 && inner[quiet - 1]!.do !== 'let' && isQuiet(inner[quiet - 1]!)) quiet--;
  return [...inner.slice(0, quiet), ...inner.slice(sets), ...inner.slice(quiet, sets)];
}

/** Whether a term depends on the state. */
function reads(term: Term): boolean {
  if (typeof term === 'number') return false;
  switch (term.op) {
    case 'read':
      return true;
    case 'local':
      return false;
    case 'not':
      return reads(term.of);
    case 'if':
      return reads(term.test) || reads(term.yes) || reads(term.no);
    default:
      return reads(term.left) || reads(term.right);
  }
}
