/** Makes Fastify accept every method that Node parses, so that the hooks of this server answer them. */
import { METHODS } from 'node:http';
import fp from 'fastify-plugin';

/** Registered before the routes, so that a route for every method (`app.all`) covers these methods, too. */
export const everyMethod = fp(async (app) => {
  for (const method of METHODS) {
    if (!app.supportedMethods.includes(method)) app.addHttpMethod(method);
  }
});
