// The gateway on a port of this machine, with this test as its operator.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

export class Server {
  #process;
  #lines;

  // Starts the example; the commands are obeyed before it listens.
  static async start(program, port = 0, commands = []) {
    const server = new Server();
    server.#process = spawn(program, [String(port), ...commands], { stdio: ["pipe", "pipe", "inherit"] });
    server.#lines = createInterface({ input: server.#process.stdout })[Symbol.asyncIterator]();
    const line = await server.#answer();
    server.origin = line.replace("listening on ", "");
    server.port = Number(new URL(server.origin).port);
    return server;
  }

  async command(line) {
    this.#process.stdin.write(`${line}\n`);
    const answer = await this.#answer();
    if (answer !== "ok") throw new Error(`the server was told \`${line}\` and said: ${answer}`);
  }

  // Ends it at once, as a machine that is taken away would.
  async kill() {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await gone;
  }

  async #answer() {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("the server ended instead of answering");
    return value;
  }
}
