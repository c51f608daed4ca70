/** What is wrong with data, gathered while the rest of it is looked at. */
import { LexisegError } from '../errors.js';

export class ProblemList {
  readonly messages: string[] = [];

  /** Takes what is wrong with the data; anything else is thrown on. */
  readonly note = (problem: unknown): void => {
    if (!(problem instanceof LexisegError) || problem.code === 'ERR_ABORTED') throw problem;
    this.messages.push(problem.message);
  };
}
