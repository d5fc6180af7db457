// The cookies of one session. They go to one server only, so domains, paths and the rest of RFC 6265 decide nothing.

export class Cookies {
  private _all = new Map<string, { value: string; until: number }>();

  /** Takes the values of `Set-Cookie`. */
  take(headers: string[], now = Date.now()): void {
    for (const header of headers) {
      const [pair, ...attributes] = header.split(";");
      const at = pair!.indexOf("=");
      if (at < 1) continue;
      let until = Infinity;
      for (const attribute of attributes) {
        const [name, value = ""] = attribute.trim().split("=");
        const date = /^expires$/i.test(name!) ? Date.parse(value) : NaN;
        if (!isNaN(date) && until == Infinity) until = date;
        // Which of the two comes first does not matter: this one wins (RFC 6265, 5.3).
        if (/^max-age$/i.test(name!) && /^-?\d+$/.test(value)) until = now + Number(value) * 1000;
      }
      const name = pair!.slice(0, at).trim();
      if (until <= now) this._all.delete(name);
      else this._all.set(name, { value: pair!.slice(at + 1).trim(), until });
    }
  }

  /** The value of `Cookie`, or `""`. */
  header(now = Date.now()): string {
    const pairs: string[] = [];
    this._all.forEach(({ value, until }, name) => {
      if (until > now) pairs.push(name + "=" + value);
    });
    return pairs.join("; ");
  }
}
