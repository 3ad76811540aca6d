/**
 * Lets a comment in driver/ link to what machines/ exports.
 *
 * TypeScript takes the braces behind `@throws` for a type, so it resolves no link there, and TypeDoc alone looks no
 * further than the comment's own module.
 *
 * @param {import('typedoc').Application} app
 */
export function load(app) {
  app.converter.addUnknownSymbolResolver(({ symbolReference }, { project }) => {
    const path = symbolReference?.path ?? [];
    if (path.length !== 1) return undefined;
    const modules = project.children ?? [];
    const target = modules.flatMap(({ children }) => children ?? []).find(({ name }) => name === path[0].path);
    return target === undefined ? undefined : { target };
  });
}
