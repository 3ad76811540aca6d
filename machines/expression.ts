/**
 * Guards, context updates and effect arguments as data.
 *
 * Theory of operation: a machine's configuration holds no opaque function. Where XState would take one, it holds an
 * {@link Expression}: a small tree over the machine's context, the event's parameters and constants. XState evaluates
 * the tree ({@link evaluate}); the compiler turns it into code ({@link toSource}); diagrams print it ({@link toText}).
 * All values are integers, and truth is 1 or 0, so every other checker can take the tree over as it is.
 */

/** An integer expression. A plain number is a constant. */
export type Expression =
  | number
  | { readonly op: 'context'; readonly name: string }
  | { readonly op: 'event'; readonly name: string }
  | { readonly op: 'named'; readonly name: string; readonly value: number }
  | { readonly op: BinaryOperator; readonly left: Expression; readonly right: Expression }
  | { readonly op: 'not'; readonly of: Expression }
  | { readonly op: 'if'; readonly test: Expression; readonly yes: Expression; readonly no: Expression };

/** Operators with two operands, as JavaScript writes them. Comparison and logic give 1 or 0. */
export type BinaryOperator = '+' | '-' | '==' | '!=' | '<' | '<=' | '&&' | '||';

/** Values that an expression reads, by name. */
export type Values = Readonly<Record<string, number>>;

const binary =
  (op: BinaryOperator) =>
  (left: Expression, right: Expression): Expression => ({ op, left, right });

export const add = binary('+');
export const subtract = binary('-');
export const equal = binary('==');
export const unequal = binary('!=');
export const less = binary('<');
export const atMost = binary('<=');
/** True when every operand is. */
export const all = (first: Expression, ...rest: readonly Expression[]): Expression => rest.reduce(binary('&&'), first);
/** True when some operand is. */
export const any = (first: Expression, ...rest: readonly Expression[]): Expression => rest.reduce(binary('||'), first);
export const not = (of: Expression): Expression => ({ op: 'not', of });
export const choose = (test: Expression, yes: Expression, no: Expression): Expression => ({ op: 'if', test, yes, no });
/** A constant that pictures and errors call by its name: an error number, a limit. */
export const named = (name: string, value: number): Expression => ({ op: 'named', name, value });

/** Evaluates `expression`; the meaning that every other form must share. @throws Error on a name that has no value */
export function evaluate(expression: Expression, context: Values, event: Values): number {
  if (typeof expression === 'number') return expression;
  switch (expression.op) {
    case 'context':
      return read(context, expression.name, 'context');
    case 'event':
      return read(event, expression.name, 'event');
    case 'named':
      return expression.value;
    case 'not':
      return evaluate(expression.of, context, event) === 0 ? 1 : 0;
    case 'if':
      return evaluate(expression.test, context, event) !== 0
        ? evaluate(expression.yes, context, event)
        : evaluate(expression.no, context, event);
    default:
      return compute(
        expression.op,
        evaluate(expression.left, context, event),
        evaluate(expression.right, context, event),
      );
  }
}

function read(values: Values, name: string, kind: string): number {
  const value = values[name];
  if (value === undefined) throw new Error(`expression reads ${kind} '${name}', which has no value`);
  return value;
}

/** Value of an operator. */
export function compute(op: BinaryOperator, left: number, right: number): number {
  switch (op) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '==':
      return left === right ? 1 : 0;
    case '!=':
      return left !== right ? 1 : 0;
    case '<':
      return left < right ? 1 : 0;
    case '<=':
      return left <= right ? 1 : 0;
    case '&&':
      return left !== 0 && right !== 0 ? 1 : 0;
    case '||':
      return left !== 0 || right !== 0 ? 1 : 0;
  }
}

/** Names in generated code for what an expression reads. */
export interface SourceNames {
  context(name: string): string;
  event(name: string): string;
}

/** JavaScript source of `expression` as a number. */
export function toSource(expression: Expression, names: SourceNames): string {
  if (typeof expression === 'number') return String(expression);
  switch (expression.op) {
    case 'context':
      return names.context(expression.name);
    case 'event':
      return names.event(expression.name);
    case 'named':
      return String(expression.value);
    case 'if':
      return `(${toCondition(expression.test, names)} ? ${toSource(expression.yes, names)} : ${toSource(expression.no, names)})`;
    case '+':
    case '-':
      return `(${toSource(expression.left, names)} ${expression.op} ${toSource(expression.right, names)})`;
    default:
      return `(${toCondition(expression, names)} ? 1 : 0)`;
  }
}

/** JavaScript source of `expression` as a truth value. */
export function toCondition(expression: Expression, names: SourceNames): string {
  if (typeof expression === 'number') return expression === 0 ? 'false' : 'true';
  switch (expression.op) {
    case 'not':
      return `!${toCondition(expression.of, names)}`;
    case '&&':
    case '||':
      return `(${toCondition(expression.left, names)} ${expression.op} ${toCondition(expression.right, names)})`;
    case '==':
    case '!=':
      return `(${toSource(expression.left, names)} ${expression.op}= ${toSource(expression.right, names)})`;
    case '<':
    case '<=':
      return `(${toSource(expression.left, names)} ${expression.op} ${toSource(expression.right, names)})`;
    default:
      return `(${toSource(expression, names)} !== 0)`;
  }
}

/** Text of `expression` for people: context by its name, event parameters after a dot. */
export function toText(expression: Expression): string {
  if (typeof expression === 'number') return String(expression);
  switch (expression.op) {
    case 'context':
      return expression.name;
    case 'event':
      return `.${expression.name}`;
    case 'named':
      return expression.name;
    case 'not':
      return `not ${operand(expression.of)}`;
    case 'if':
      return `${operand(expression.test)} ? ${operand(expression.yes)} : ${operand(expression.no)}`;
    case '&&':
    case '||': {
      const word = expression.op === '&&' ? 'and' : 'or';
      const side = (part: Expression) =>
        typeof part !== 'number' && part.op === expression.op ? toText(part) : operand(part);
      return `${side(expression.left)} ${word} ${side(expression.right)}`;
    }
    default: {
      // Sums are read from left to right, and before comparisons.
      const side = (part: Expression, mayBeSum: boolean) =>
        isWord(part) || (mayBeSum && isSum(part)) ? toText(part) : `(${toText(part)})`;
      return `${side(expression.left, true)} ${expression.op} ${side(expression.right, !isSum(expression))}`;
    }
  }
}

const isSum = (expression: Expression): boolean =>
  typeof expression !== 'number' && (expression.op === '+' || expression.op === '-');
const isWord = (expression: Expression): boolean =>
  typeof expression === 'number' ||
  expression.op === 'context' ||
  expression.op === 'event' ||
  expression.op === 'named';

function operand(expression: Expression): string {
  const simple =
    isWord(expression) || (typeof expression !== 'number' && !['if', 'not', '&&', '||'].includes(expression.op));
  return simple ? toText(expression) : `(${toText(expression)})`;
}

/** Calls `visit` for `expression` and each of its parts. */
export function walk(expression: Expression, visit: (part: Expression) => void): void {
  visit(expression);
  if (typeof expression === 'number') return;
  switch (expression.op) {
    case 'context':
    case 'event':
    case 'named':
      return;
    case 'not':
      return walk(expression.of, visit);
    case 'if':
      walk(expression.test, visit);
      walk(expression.yes, visit);
      return walk(expression.no, visit);
    default:
      walk(expression.left, visit);
      return walk(expression.right, visit);
  }
}
