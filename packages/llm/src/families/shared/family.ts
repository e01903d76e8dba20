import type { JsonFields } from '../../config/json-fields.ts';
import type { FamilyTokens } from '../../config/special-tokens.ts';
import type { DecoderLayout } from '../../models/decoder/layout.ts';

/** What the configuration of a family says of the model itself. */
export interface FamilyModel {
  readonly layout: DecoderLayout;
  readonly maxPositions: number;
  /** Whether the output projection is the token embedding. */
  readonly tied: boolean;
}

/** A kind of model: what names it, and how its configuration becomes a layout. */
export interface Family {
  /** Its name in `ModelConfig.architecture` and in messages. */
  readonly name: string;
  /** What `architectures` of a config.json calls it; without its head it ends in `Model`. */
  readonly architecture: string;
  /** What `model_type` calls it, for files that list no architecture. */
  readonly modelType: string;
  /** What transformers takes for its tokens where the configuration has no field. */
  readonly tokens: FamilyTokens;
  /**
   * Reads every field that changes what is computed: what is not read is said to be without use. Defaults are those of
   * transformers.
   * @throws FileFormatError `ERR_CONFIG`
   */
  read(config: JsonFields): FamilyModel;
}
