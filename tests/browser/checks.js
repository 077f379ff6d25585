// Checks that are named by a sentence, run one after another, and counted. One that fails does not hide the others.

export class Checks {
  #passed = 0;
  #failed = 0;

  async check(sentence, act) {
    try {
      await act();
      this.#passed += 1;
      console.log(`ok      ${sentence}`);
    } catch (error) {
      this.#failed += 1;
      console.log(`FAILED  ${sentence}\n        ${String(error.message).trim().replaceAll("\n", "\n        ")}`);
    }
  }

  // Prints the sums, and returns the exit code that they deserve.
  sum() {
    console.log(`${this.#passed} passed, ${this.#failed} failed`);
    return this.#failed === 0 && this.#passed > 0 ? 0 : 1;
  }
}

// Asks again and again until the answer is as hoped, and fails with the last one when it never is.
export const eventually = async (what, question, hoped, patience = 8000) => {
  const end = Date.now() + patience;
  for (;;) {
    const answer = await question();
    if (hoped(answer)) return answer;
    if (Date.now() > end) throw new Error(`${what}: after ${patience} ms it is still ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};
